//! Clients of the nodes: what they asked, on its way there and back.

use std::time::Duration;

use api::{Command, Outcome, Request};
use types::{Instant, ShardId};

use super::shown::{Asked, Told};
use super::{Event, Happening, World};
use crate::host::At;
use crate::network::Place;
use crate::random::micros;

/// A request, by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AskId(pub u64);

/// What a client is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// What the node said.
    Outcome(Outcome),
    /// Nobody listens there: nothing was done.
    Refused,
    /// The connection broke with the request under way: nobody knows.
    Lost,
}

#[derive(Debug)]
pub(super) struct Waiting {
    place: Place,
    request: Option<Request>,
    /// When the node was handed the request, once it was, and how long it had stood still by then.
    handed: Option<(Instant, Duration)>,
    timeout: Duration,
    /// The keys that it is about, in the order of the outcomes.
    keys: Vec<crate::witness::Place>,
}

/// A timer may be late by the coarseness of clocks, and the end of a turn by what a turn gathers.
const LATE_MAX: Duration = Duration::from_millis(3);

impl World {
    /// Asks a node on behalf of a client.
    pub fn ask(&mut self, place: Place, request: Request) -> AskId {
        self.next_ask += 1;
        let ask = AskId(self.next_ask);
        let timeout = request.timeout.unwrap_or(self.scenario.timeout).min(self.scenario.timeout);
        let place = self.perhaps_its_clone(place);
        self.asked.insert(
            ask,
            Waiting { place, keys: keys_of(&request), request: Some(request), handed: None, timeout },
        );
        let at = self.now + self.client_delay();
        self.queue.put(at, Event::Request(ask));
        ask
    }

    /// Asks, and lets time pass until there is an answer. For scripts with one client.
    pub fn ask_and_wait(&mut self, place: Place, request: Request) -> Answer {
        let ask = self.ask(place, request);
        let until = self.now + Duration::from_secs(60);
        while let Some(happening) = self.step(until) {
            if let Happening::Answered(id, answer) = happening
                && id == ask
            {
                return answer;
            }
        }
        Answer::Lost
    }

    pub(super) fn request_arrives(&mut self, ask: AskId) {
        let Some(asked) = self.asked.get_mut(&ask) else {
            return;
        };
        let place = asked.place;
        if !self.hosts[place].is_up() {
            return self.answer(ask, Answer::Refused);
        }
        let Some(request) = asked.request.take() else {
            return;
        };
        asked.handed = Some((self.now, self.standing[place].so_far(self.now)));
        self.trace.line(
            self.now,
            &self.hosts[place].name,
            format_args!("?  #{} {}", ask.0, Asked(&request.command)),
        );
        // Each client has a connection of its own, and each connection a shard.
        let shards = self.hosts[place].shards.len() as u64;
        let shard = ShardId(u8::try_from(ask.0 % shards).unwrap_or(0));
        self.feed(At { place, shard }, node::Input::Client(ask.0, request));
    }

    pub(super) fn node_answers(&mut self, place: Place, client: u64, outcome: Outcome) {
        self.trace.line(self.now, &self.hosts[place].name, format_args!("=  #{client} {}", Told(&outcome)));
        let ask = AskId(client);
        let Some((asked, handed)) = self.asked.get(&ask).and_then(|asked| Some((asked, asked.handed?)))
        else {
            return self.violated("a request has one answer", format!("#{client} was answered again"));
        };
        self.witness.answered(
            self.witnessed_as(place),
            &asked.keys,
            &outcome,
            &mut self.violations,
            self.now,
        );
        let taken = self.awake_since(place, handed);
        // Clocks that run slow by 200 millionths wait that much longer. And what another shard does comes back in a turn of its own.
        let turns = if self.hosts[place].shards.len() > 1 { 2 } else { 1 };
        let allowed = asked.timeout + asked.timeout / 1_000 + LATE_MAX + self.scenario.longest_turn() * turns;
        if taken > allowed {
            let what = format!("#{client} took {taken:?} and had {:?}", asked.timeout);
            self.violated("every request is answered by its deadline (J1)", what);
        }
        self.answer(ask, Answer::Outcome(outcome));
    }

    /// The node is gone: whoever waits for it hears that the connection broke.
    pub(super) fn lose_clients(&mut self, place: Place) {
        let waiting: Vec<AskId> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.place == place && asked.handed.is_some())
            .map(|(ask, _)| *ask)
            .collect();
        for ask in waiting {
            self.answer(ask, Answer::Lost);
        }
    }

    /// Whether a client waits that nobody will answer: asked of a node that runs, longer ago than it may take.
    pub fn check_nobody_waits(&mut self) {
        let stuck: Vec<u64> = self
            .asked
            .iter()
            .filter(|(_, asked)| {
                let allowed = asked.timeout * 2 + Duration::from_secs(1);
                asked.handed.is_some_and(|handed| self.awake_since(asked.place, handed) > allowed)
            })
            .map(|(ask, _)| ask.0)
            .collect();
        for ask in stuck {
            self.violated("no client waits for ever (J1)", format!("#{ask} has no answer"));
        }
    }

    /// How long a node has had for what it was handed: time in which it stood still does not count.
    fn awake_since(&self, place: Place, (handed, still_before): (Instant, Duration)) -> Duration {
        let still = self.standing[place].so_far(self.now).saturating_sub(still_before);
        self.now.since(handed).saturating_sub(still)
    }

    /// The node that a request goes to, while it is under way.
    pub(super) fn place_asked(&self, ask: AskId) -> Option<Place> {
        self.asked.get(&ask).map(|asked| asked.place)
    }

    pub(super) fn answer(&mut self, ask: AskId, answer: Answer) {
        let answer = self.unless_of_a_clone(ask, answer);
        // Answered once: what is on its way back to the client is not lost with the node.
        if let Some(asked) = self.asked.get_mut(&ask) {
            asked.handed = None;
        }
        let at = self.now + self.client_delay();
        self.queue.put(at, Event::Answer(ask, answer));
    }

    fn client_delay(&mut self) -> Duration {
        micros(&mut self.rng, 10, 400)
    }
}

fn keys_of(request: &Request) -> Vec<crate::witness::Place> {
    match &request.command {
        Command::Key(one) => vec![(one.keyspace, one.key.clone())],
        Command::Batch(all) => all.iter().map(|one| (one.keyspace, one.key.clone())).collect(),
        _ => Vec::new(),
    }
}
