//! How fast news spreads, and what it costs, from 10 to 1,000 simulated nodes:
//! `cargo run --release -p henge-gossip --example convergence`. Prints a table and draws
//! `docs/gossip-convergence.svg`. With numbers of nodes as arguments it prints only.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "small fixed inputs, and nobody depends on it"
)]

#[path = "../tests/cluster/network.rs"]
mod network;

use std::collections::BTreeMap;
use std::path::Path;

use gossip::message::{Entry, Message, Step};
use gossip::{Key, Options, SEAL_BYTES, Verdict, codec};
use network::Cluster;
use plotters::coord::Shift;
use plotters::prelude::*;
use types::{Incarnation, NodeId};

const SIZES: [u16; 7] = [10, 20, 50, 100, 200, 500, 1_000];
const LOSS_PER_THOUSAND: u64 = 10;
const SEED: u64 = 42;
const PIXELS: (u32, u32) = (860, 760);

/// What one size came to.
struct Figures {
    nodes: u16,
    /// Rounds until everybody has heard of everybody, from nothing.
    founding: u32,
    /// Rounds until everybody knows each of a few facts, stated at once by different nodes.
    fact: u32,
    /// Rounds until everybody takes a killed node for down.
    death: u32,
    /// Bytes that a node sends in a round, in quiet times.
    bytes: u64,
    /// The same while the killed node is being found.
    bytes_at_death: u64,
    /// The same if everybody sent a heartbeat to everybody.
    all_to_all: u64,
    /// Times that a living node was suspected, or taken for down, by anybody.
    wrongly_suspected: usize,
    wrongly_down: usize,
}

fn main() {
    let sizes: Vec<u16> = std::env::args().skip(1).map(|size| size.parse().unwrap()).collect();
    let draws = sizes.is_empty();
    let sizes = if draws { SIZES.to_vec() } else { sizes };
    println!(
        " nodes | rounds to: all heard  fact known  death known | bytes sent per node and round:  quiet  at a death  all-to-all | wrongly suspected  down"
    );
    let mut all = Vec::new();
    for nodes in sizes {
        let figures = measure(nodes);
        let Figures { founding, fact, death, bytes, bytes_at_death, all_to_all, .. } = figures;
        let (suspected, down) = (figures.wrongly_suspected, figures.wrongly_down);
        println!(
            "{nodes:6} | {founding:20}  {fact:10}  {death:11} | {bytes:37}  {bytes_at_death:10}  {all_to_all:10} | {suspected:17}  {down:4}"
        );
        all.push(figures);
    }
    if draws {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gossip-convergence.svg");
        std::fs::write(&path, draw(&all)).unwrap();
    }
}

fn measure(nodes: u16) -> Figures {
    let mut cluster = Cluster::new(nodes, Options::default(), SEED);
    cluster.loss = LOSS_PER_THOUSAND;
    let founding = cluster.run_until(100, Cluster::is_whole).unwrap();
    cluster.run(8);
    let bytes = bytes_of_a_round(&mut cluster, 6);

    let speakers: Vec<u16> = (0..5).map(|nth| nth * nodes / 5).collect();
    for id in &speakers {
        cluster.node(*id).gossip.set_fact(Key::LOAD, b"0.75").unwrap();
    }
    let all_know = |cluster: &Cluster| {
        let knows =
            |id: &u16| cluster.running().all(|(_, node)| node.gossip.fact(NodeId(*id), Key::LOAD).is_some());
        speakers.iter().all(knows)
    };
    let fact = cluster.run_until(100, all_know).unwrap();

    let killed = nodes / 3;
    cluster.kill(killed);
    let before: u64 = sent(&cluster);
    let all = usize::from(nodes) - 1;
    let death = cluster.run_until(150, |cluster| cluster.count(killed, Verdict::Down) == all).unwrap();
    let bytes_at_death = (sent(&cluster) - before) / u64::from(death) / u64::from(nodes);

    let wrongly = |verdict: Verdict| {
        let changes = cluster.changes().filter(|(_, change)| change.node.0 != killed && change.to == verdict);
        changes.count()
    };
    let (wrongly_suspected, wrongly_down) = (wrongly(Verdict::Suspected), wrongly(Verdict::Down));
    let all_to_all = heartbeat_bytes(&cluster) * (u64::from(nodes) - 1);
    Figures {
        nodes,
        founding,
        fact,
        death,
        bytes,
        bytes_at_death,
        all_to_all,
        wrongly_suspected,
        wrongly_down,
    }
}

fn sent(cluster: &Cluster) -> u64 {
    cluster.nodes.values().map(|node| node.bytes_sent).sum()
}

fn bytes_of_a_round(cluster: &mut Cluster, rounds: u32) -> u64 {
    let before = sent(cluster);
    cluster.run(rounds);
    (sent(cluster) - before) / u64::from(rounds) / cluster.nodes.len() as u64
}

/// The least that a heartbeat takes in these messages: sealed, with nothing but its own entry.
fn heartbeat_bytes(cluster: &Cluster) -> u64 {
    let row = cluster.nodes[&NodeId(0)].gossip.table(cluster.now).remove(0);
    let pulse = gossip::Pulse { generation: row.generation.unwrap(), heartbeat: row.heartbeat };
    let entry = Entry { tag: 0, pulse, newest_fact: 0 };
    let message = Message {
        step: Step::Opening,
        incarnation: Incarnation(0),
        entries: BTreeMap::from([(NodeId(0), entry)]),
        states: BTreeMap::new(),
    };
    (codec::encode(&message).len() + SEAL_BYTES) as u64
}

fn draw(all: &[Figures]) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, PIXELS).into_drawing_area();
        root.fill(&WHITE).unwrap();
        let (upper, lower) = root.split_vertically(PIXELS.1 / 2);
        let of = |value: fn(&Figures) -> f64| -> Vec<(f64, f64)> {
            all.iter().map(|figures| (f64::from(figures.nodes), value(figures))).collect()
        };
        let rounds = [
            ("everybody has heard of everybody, from nothing", of(|it| f64::from(it.founding))),
            ("a fact is known to all", of(|it| f64::from(it.fact))),
            ("a death is known to all", of(|it| f64::from(it.death))),
        ];
        draw_curves(&upper, "rounds until", "rounds", &rounds, false);
        let bytes = [
            ("gossip", of(|it| it.bytes as f64)),
            ("gossip, while a death is found", of(|it| it.bytes_at_death as f64)),
            ("heartbeats from all to all", of(|it| it.all_to_all as f64)),
        ];
        draw_curves(&lower, "sent per node and round", "bytes", &bytes, true);
        root.present().unwrap();
    }
    svg
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Curves over the number of nodes, which is on a logarithmic axis; values are on one too where `logarithmic`.
fn draw_curves(
    area: &Area<'_>,
    caption: &str,
    unit: &str,
    curves: &[(&str, Vec<(f64, f64)>)],
    logarithmic: bool,
) {
    const COLOURS: [RGBColor; 3] = [RGBColor(31, 119, 180), RGBColor(44, 160, 44), RGBColor(214, 39, 40)];
    let highest = curves.iter().flat_map(|(_, curve)| curve).map(|(_, y)| *y).fold(1.0, f64::max);
    let shown = |y: f64| if logarithmic { y.log10() } else { y };
    let bottom = if logarithmic { 2.0 } else { 0.0 };
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((10.0..1_000.0).log_scale(), bottom..shown(highest) * 1.15)
        .unwrap();
    chart
        .configure_mesh()
        .x_desc("nodes")
        .y_desc(unit)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| match logarithmic {
            true if y.fract() == 0.0 => format!("{:.0}", 10_f64.powf(*y)),
            true => String::new(),
            false => format!("{y:.0}"),
        })
        .draw()
        .unwrap();
    for ((name, curve), colour) in curves.iter().zip(COLOURS) {
        let points = curve.iter().map(|(x, y)| (*x, shown(*y)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))
            .unwrap()
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()
        .unwrap();
}
