//! The cheapest flow through a network of whole costs: how few moves any lists of owners need (`lists`).
//!
//! What always holds: what has been sent is the cheapest flow of its size, since it is sent along shortest ways only,
//! all those of one length at once (the primal-dual method of Ford and Fulkerson, with the layers of Dinic).

use std::collections::VecDeque;

/// No way leads there.
const NEVER: i64 = i64::MAX / 4;

/// Edges in pairs: the one behind an even number, and its reverse behind the next one.
pub(crate) struct Network {
    ends: Vec<usize>,
    /// What an edge can still carry.
    room: Vec<i64>,
    costs: Vec<i64>,
    edges_of: Vec<Vec<usize>>,
}

impl Network {
    pub(crate) fn new(vertices: usize) -> Network {
        Network {
            ends: Vec::new(),
            room: Vec::new(),
            costs: Vec::new(),
            edges_of: vec![Vec::new(); vertices],
        }
    }

    /// Adds an edge, and says which number it has.
    pub(crate) fn edge(&mut self, from: usize, to: usize, room: i64, cost: i64) -> usize {
        let edge = self.ends.len();
        self.ends.extend([to, from]);
        self.room.extend([room, 0]);
        self.costs.extend([cost, -cost]);
        self.edges_of[from].push(edge);
        self.edges_of[to].push(edge + 1);
        edge
    }

    /// What an edge carries.
    pub(crate) fn carried(&self, edge: usize) -> i64 {
        self.room[edge + 1]
    }

    /// Sends as much as there is room for, as cheaply as can be, and says how much it is.
    pub(crate) fn send(&mut self, source: usize, sink: usize) -> i64 {
        let mut sent = 0;
        loop {
            let distances = self.distances(source);
            if distances[sink] == NEVER {
                return sent;
            }
            loop {
                let layers = self.layers(source, &distances);
                if layers[sink] == usize::MAX {
                    break;
                }
                let mut tried = vec![0; self.edges_of.len()];
                loop {
                    let pushed = self.push((source, sink), i64::MAX, &layers, &distances, &mut tried);
                    if pushed == 0 {
                        break;
                    }
                    sent += pushed;
                }
            }
        }
    }

    /// What the cheapest way to each vertex costs.
    fn distances(&self, source: usize) -> Vec<i64> {
        let mut distances = vec![NEVER; self.edges_of.len()];
        let mut waits = vec![false; self.edges_of.len()];
        let mut queue = VecDeque::from([source]);
        distances[source] = 0;
        while let Some(vertex) = queue.pop_front() {
            waits[vertex] = false;
            for &edge in &self.edges_of[vertex] {
                let (end, distance) = (self.ends[edge], distances[vertex] + self.costs[edge]);
                if self.room[edge] > 0 && distance < distances[end] {
                    distances[end] = distance;
                    if !std::mem::replace(&mut waits[end], true) {
                        queue.push_back(end);
                    }
                }
            }
        }
        distances
    }

    /// Whether an edge is part of some cheapest way.
    fn is_short(&self, from: usize, edge: usize, distances: &[i64]) -> bool {
        self.room[edge] > 0 && distances[from] + self.costs[edge] == distances[self.ends[edge]]
    }

    /// How many edges of cheapest ways lead to each vertex.
    fn layers(&self, source: usize, distances: &[i64]) -> Vec<usize> {
        let mut layers = vec![usize::MAX; self.edges_of.len()];
        let mut queue = VecDeque::from([source]);
        layers[source] = 0;
        while let Some(vertex) = queue.pop_front() {
            for &edge in &self.edges_of[vertex] {
                let end = self.ends[edge];
                if layers[end] == usize::MAX && self.is_short(vertex, edge, distances) {
                    layers[end] = layers[vertex] + 1;
                    queue.push_back(end);
                }
            }
        }
        layers
    }

    /// Sends at most `most` along one way, from layer to layer; `tried` are the edges of each vertex that are done.
    fn push(
        &mut self,
        (from, sink): (usize, usize),
        most: i64,
        layers: &[usize],
        distances: &[i64],
        tried: &mut [usize],
    ) -> i64 {
        if from == sink {
            return most;
        }
        while let Some(&edge) = self.edges_of[from].get(tried[from]) {
            let end = self.ends[edge];
            if layers[end] == layers[from] + 1 && self.is_short(from, edge, distances) {
                let pushed = self.push((end, sink), most.min(self.room[edge]), layers, distances, tried);
                if pushed > 0 {
                    self.room[edge] -= pushed;
                    self.room[edge ^ 1] += pushed;
                    return pushed;
                }
            }
            tried[from] += 1;
        }
        0
    }
}
