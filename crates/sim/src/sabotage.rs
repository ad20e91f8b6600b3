//! Rules broken on purpose. A checker that stays silent under the sabotage made for it checks nothing.

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Owners say *stored* as soon as a write arrives, before it is synced (INVARIANTS A4).
    AcknowledgeBeforeSync,
    /// What one owner acknowledged is acknowledged in every other node's name too (A2).
    AcknowledgeTwice,
    /// A relay passes nothing on, and acknowledges in the name of those that it was to pass a write on to (A2).
    AcknowledgeForOthers,
    /// A node that starts again finds its identity as it was at its second start, and mints under stints that it has
    /// used before (B1).
    ReuseStints,
    /// A hint is given up before its owner has it: what is handed off is acknowledged on the way and never arrives (A3).
    LoseHints,
    /// Whoever compares what he has with another owner is told that there is no difference (F1).
    CompareNothing,
    /// Owners that keep what was agreed on of deletes are told that all of them may be dropped (D1).
    CollectEarly,
    /// An owner that is asked by another node for what it holds says that it holds nothing (C3).
    DenyRecords,
    /// An owner that is asked by another node answers as it did when it was first asked about the key (C1).
    AnswerFromMemory,
    /// An owner that is to merge a record says that it did, and keeps what it has (A4).
    KeepOwnSide,
    /// A node that is suspected is taken for down (E9).
    DownByOneWitness,
    /// Who does not reach everybody hears nobody's answers: clients wait for all owners (H5, G4).
    WaitForAll,
    /// Owners that cannot say what they have of a key, because it is damaged, say that there is nothing (C3).
    TakeDamageForAbsence,
    /// A maker makes a write that was passed on under its own name, not under the one that it was given, so that two makers make
    /// two writes of it (A6).
    NameAnew,
    /// Old owners have nothing to give to new ones, and all find that they hold the same: so an old owner drops what nobody else
    /// has (E4).
    DropTheLast,
    /// Old owners have nothing to give while a movement fills: new owners find that they have all, and those are switched to who
    /// have nothing yet (E2).
    SwitchUnfilled,
    /// Who is asked takes what was routed by the owners that a partition had before (E1).
    TakeOldRoutes,
    /// A new owner is given, for a movement that was begun anew, the page that was under way for the one that was given up, as if that were
    /// all, and neither of the two finds that it lacks anything (E3).
    TakeLatePages,
    /// A node is told of a change of the cluster that nobody has agreed on (E1, I1).
    ForgeHistory,
    /// Who leads does not hear how far the others are (liveness).
    LoseReports,
}
