//! What a client makes of an answer: its books say whether it may have been given.

use bytes::Bytes;

use api::{Error, Fate, Reply};

use super::{Client, Kind, Known, Pending, Problem, Task, pick_place};
use crate::witness::written;
use crate::workload::Figures;
use crate::workload::books::Books;
use crate::workload::registers::{self, rank_of};
use crate::workload::siblings::Shown;
use crate::world::{Answer, World};

const READS: &str = "reads give what was acknowledged, and never go back (C1, C2)";
const WRITES: &str = "a later write outranks what was there (B6)";
const NOT_DONE: &str = "what is not done is never seen (A5)";
const SIBLINGS_SHOWN: &str = "siblings are the values that nobody replaced (B2, B3)";
const LEVELS: &str = "an acknowledgement means W owners (A2)";
const SCANS: &str = "a scan gives what lives";
const ERRORS: &str = "only what cannot be served is refused as invalid";

impl Client {
    /// Takes an answer, and says which rules it breaks.
    pub fn answered(
        &mut self,
        world: &World,
        books: &mut Books,
        answer: Answer,
        figures: &mut Figures,
    ) -> Vec<Problem> {
        self.refused = is_not_done(&answer);
        if answer == Answer::Refused || answer == Answer::Lost {
            self.home = pick_place(&mut self.rng, &self.places);
        }
        let mut problems = Vec::new();
        match (self.pending.take(), answer) {
            (Some(Pending::Tasks(tasks)), Answer::Outcome(Ok(Reply::Batch(outcomes)))) => {
                for (task, outcome) in tasks.iter().zip(outcomes) {
                    let answer = Answer::Outcome(outcome);
                    self.task_answered(world, books, task, &answer, figures, &mut problems);
                }
            }
            (Some(Pending::Tasks(tasks)), answer) => {
                for task in &tasks {
                    self.task_answered(world, books, task, &answer, figures, &mut problems);
                }
            }
            (Some(Pending::Scan), answer) => self.scan_answered(books, answer, figures, &mut problems),
            (Some(Pending::RandomKey(keyspace)), Answer::Outcome(Ok(Reply::RandomKey(Some(key))))) => {
                if !books.put(keyspace).contains(&key) {
                    problems.push((SCANS, format!("{} is random and was never written", key.escape_ascii())));
                }
            }
            (Some(Pending::Acknowledgements), Answer::Outcome(Ok(Reply::Acknowledged(count)))) => {
                if usize::from(count) > world.scenario().holders_max() {
                    problems.push((LEVELS, format!("{count} owners are said to have acknowledged")));
                }
            }
            (Some(Pending::Explanation), Answer::Outcome(Ok(Reply::Explain(explanation)))) => {
                let (shown, owners) = (explanation.owners.len(), world.scenario().owners());
                if shown != owners && !world.scenario().is_changed() {
                    problems.push((LEVELS, format!("{shown} owners are explained of {owners}")));
                }
            }
            (
                Some(
                    Pending::Count | Pending::RandomKey(_) | Pending::Explanation | Pending::Acknowledgements,
                )
                | None,
                _,
            ) => {}
        }
        problems
    }

    fn scan_answered(
        &mut self,
        books: &Books,
        answer: Answer,
        figures: &mut Figures,
        problems: &mut Vec<Problem>,
    ) {
        let Some(mut scan) = self.scan.take() else { return };
        let Answer::Outcome(Ok(Reply::Scan(page))) = answer else {
            return;
        };
        match scan.page(&page) {
            Ok(false) => self.scan = Some(scan),
            Ok(true) => {
                figures.scans += 1;
                let checked = scan.check(&books.certain(scan.keyspace), &books.put(scan.keyspace));
                problems.extend(checked.err().map(|what| (SCANS, what)));
            }
            Err(what) => problems.push((SCANS, what)),
        }
    }

    fn task_answered(
        &mut self,
        world: &World,
        books: &mut Books,
        task: &Task,
        answer: &Answer,
        figures: &mut Figures,
        problems: &mut Vec<Problem>,
    ) {
        let of = |what: String| format!("{} {}: {what}", task.keyspace, task.key.escape_ascii());
        if let Answer::Outcome(Err(Error::Invalid(why) | Error::NoSuchKeyspace(why))) = answer {
            problems.push((ERRORS, of(why.clone())));
        }
        if let Answer::Outcome(outcome) = answer
            && let Some(written) = written(outcome)
        {
            figures.written += 1;
            let (owners, needed) =
                (world.scenario().holders_max(), books.acknowledged_by(task.keyspace, task.level));
            let counted = usize::from(written.acknowledged);
            if counted < needed || counted > owners {
                problems.push((LEVELS, of(format!("{counted} of {owners} owners, {needed} needed"))));
            }
            if self.rng.chance(1, 20) {
                self.acknowledging = Some(written.operation);
            }
        }
        let demands = match &task.kind {
            Kind::RegisterGet { demanded, .. } => demanded.is_some(),
            Kind::SiblingsGet { demanded, .. } => demanded.is_some(),
            _ => false,
        };
        let is_on_its_way = matches!(answer, Answer::Outcome(Err(Error::Unavailable { detail, .. }))
            if detail.contains("it may be on its way"));
        figures.on_its_way += u64::from(demands && books.is_sloppy(task.keyspace) && is_on_its_way);
        let checked = self.judge(world, books, task, answer);
        problems.extend(checked.err().map(|(rule, what)| (rule, of(what))));
    }

    fn judge(
        &mut self,
        world: &World,
        books: &mut Books,
        task: &Task,
        answer: &Answer,
    ) -> Result<(), Problem> {
        let (keyspace, key, level) = (task.keyspace, &task.key, task.level);
        let not_done = is_not_done(answer);
        match &task.kind {
            Kind::RegisterGet { begun, demanded, at } => {
                let Answer::Outcome(Ok(Reply::Found(found))) = answer else {
                    return Ok(());
                };
                // What its coordinator took the time to be; nobody can say if its clock was set meanwhile.
                let host = &world.hosts()[self.home];
                let wall = |world| host.moment(world).wall.0;
                let steady = host.clock.is_steady_since(*at);
                let wall = steady.then(|| (wall(*at), wall(world.now())));
                let promise = books.read_promise(keyspace, level);
                let (read, latest) = (rank_of(&found.context), world.latest_wall_ms());
                if read < *demanded && !books.register(keyspace, key).may_be_dropped(read, *demanded, latest)
                {
                    return Err((READS, format!("{:?} was read, and {demanded:?} demanded", found.context)));
                }
                books
                    .register(keyspace, key)
                    .read(*begun, found, promise, wall, latest)
                    .map_err(|what| (READS, what))
            }
            Kind::RegisterPut { value, .. } if not_done => {
                books.register(keyspace, key).put_failed(value).map_err(|what| (NOT_DONE, what))
            }
            Kind::RegisterPut { begun, value, .. } => {
                self.register_written(books, task, *begun, Some(value), answer)
            }
            Kind::RegisterDelete { .. } if not_done => {
                books.register(keyspace, key).delete_failed();
                Ok(())
            }
            Kind::RegisterDelete { begun } => self.register_written(books, task, *begun, None, answer),
            Kind::RegisterExpire => Ok(()),
            Kind::SiblingsGet { begun, demanded } => {
                let Answer::Outcome(Ok(Reply::Found(found))) = answer else {
                    return Ok(());
                };
                let shown = Shown::of(found).map_err(|what| (SIBLINGS_SHOWN, what))?;
                let promise = books.read_promise(keyspace, level);
                let book = books.sibling_key(key);
                book.read(begun, &shown, promise.leaves).map_err(|what| (SIBLINGS_SHOWN, what))?;
                if let Some((newest, known)) = demanded {
                    book.check_demanded(*newest, known, &shown).map_err(|what| (READS, what))?;
                }
                let Shown { ids, elements } = shown;
                self.known = Some(Known { key: key.clone(), context: found.context.clone(), ids, elements });
                Ok(())
            }
            Kind::SiblingsPut { id, .. } if not_done => {
                books.sibling_key(key).put_failed(*id).map_err(|what| (NOT_DONE, what))
            }
            Kind::SiblingsPut { id, known, elements } => {
                let holders = books.write_promise(keyspace, level).leaves;
                let book = books.sibling_key(key);
                let Answer::Outcome(Ok(Reply::Written(written))) = answer else {
                    book.put_unknown();
                    return Ok(());
                };
                book.put_done(*id, holders);
                if self.rng.chance(1, 4) {
                    let mut ids = known.clone();
                    ids.insert(*id);
                    let (context, elements) = (written.context.clone(), elements.clone());
                    self.known = Some(Known { key: key.clone(), context, ids, elements });
                }
                Ok(())
            }
            Kind::SiblingsDelete { covers, wide } => {
                if let Answer::Outcome(Ok(Reply::Deleted(_))) = answer {
                    let holders = books.write_promise(keyspace, level).leaves;
                    books.sibling_key(key).delete_done(covers, *wide, holders);
                } else if not_done && *wide {
                    books.sibling_key(key).delete_done(covers, true, 0);
                }
                Ok(())
            }
        }
    }

    fn register_written(
        &mut self,
        books: &mut Books,
        task: &Task,
        begun: registers::Begun,
        value: Option<&Bytes>,
        answer: &Answer,
    ) -> Result<(), Problem> {
        let Answer::Outcome(outcome) = answer else {
            return Ok(());
        };
        let Some(written) = written(outcome) else {
            return Ok(());
        };
        let promise = books.write_promise(task.keyspace, task.level);
        self.last_write = Some((task.keyspace, task.key.clone(), written.context.clone()));
        let register = books.register(task.keyspace, &task.key);
        register.written(begun, value, &written.context, promise).map_err(|what| (WRITES, what))
    }
}

fn is_not_done(answer: &Answer) -> bool {
    match answer {
        Answer::Refused => true,
        Answer::Outcome(Err(error)) => error.fate() == Fate::NotDone,
        Answer::Outcome(Ok(_)) | Answer::Lost => false,
    }
}
