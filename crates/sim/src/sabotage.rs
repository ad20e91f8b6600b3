//! Rules broken on purpose. A checker that stays silent under the sabotage made for it checks nothing.

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Owners say *stored* as soon as a write arrives, before it is synced (INVARIANTS A4).
    AcknowledgeBeforeSync,
    /// What one owner acknowledged is acknowledged in every other node's name too (A2).
    AcknowledgeTwice,
    /// A node that starts again finds its identity as it was at its second start, and mints under stints that it has
    /// used before (B1).
    ReuseStints,
    /// A hint is given up before its owner has it: what is handed off is acknowledged on the way and never arrives (A3).
    LoseHints,
    /// Whoever compares what he has with another owner is told that there is no difference (F1).
    CompareNothing,
    /// Owners that keep what was agreed on of deletes are told that all of them may be dropped (D1).
    CollectEarly,
    /// Owners that cannot say what they have of a key, because it is damaged, say that there is nothing (C3).
    TakeDamageForAbsence,
}
