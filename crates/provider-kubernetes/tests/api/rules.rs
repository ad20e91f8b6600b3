//! What the provider keeps.

use autoscale::{KubernetesConfig, StatefulSetConfig, Wanted};
use provider::{Order, Provider, ProviderError};
use provider_kubernetes::{Access, Kubernetes, Settings};

use crate::server::{Server, Trouble};

fn config(within: &str) -> KubernetesConfig {
    let set = StatefulSetConfig { name: "henge-r1".to_owned(), datacenter: None, rack: "r1".to_owned() };
    KubernetesConfig {
        namespace: Some("stores".to_owned()),
        within: Some(within.to_owned()),
        stateful_sets: vec![set],
    }
}

fn provider(server: &Server) -> Kubernetes {
    impatient(server, "20s")
}

/// One that gives the API so long.
fn impatient(server: &Server, within: &str) -> Kubernetes {
    let access = Access::At(format!("http://{}", server.address));
    Kubernetes::new(&config(within), &access).unwrap()
}

fn order(request: &str) -> Order {
    let wanted = Wanted {
        request: request.to_owned(),
        name: "auto".to_owned(),
        data_center: "dc1".to_owned(),
        rack: "r1".to_owned(),
        weight_thousandths: 1_000,
    };
    Order { wanted, cluster: "example".to_owned(), seeds: Vec::new(), replaces: None }
}

fn not_done(result: Result<impl std::fmt::Debug, ProviderError>) -> String {
    match result {
        Err(error @ ProviderError::NotDone { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn unknown(result: Result<impl std::fmt::Debug, ProviderError>) -> String {
    match result {
        Err(error @ ProviderError::Unknown { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn done(server: &Server) -> Vec<i64> {
    server.with(|kept| kept.done.clone())
}

/// The scale goes up by one, and the node is called as the new pod will be.
#[test]
fn adding_raises_the_scale_by_one() {
    let server = Server::start(3);
    assert_eq!(provider(&server).add(&order("e1")).unwrap(), "henge-r1-3");
    assert_eq!(done(&server), [4]);
}

/// Every pod is listed, and only the last could be ended.
#[test]
fn only_the_last_pod_can_be_retired() {
    let server = Server::start(3);
    server.with(|kept| kept.running = 2);
    let nodes = provider(&server).list().unwrap();
    let listed: Vec<(&str, bool, bool)> =
        nodes.iter().map(|node| (node.name.as_str(), node.is_running, node.is_retirable)).collect();
    assert_eq!(
        listed,
        [("henge-r1-0", true, false), ("henge-r1-1", true, false), ("henge-r1-2", false, true)]
    );
    assert!(nodes.iter().all(|node| node.rack == "r1" && node.data_center == "dc1"));
}

/// Retiring the last one lowers the scale by one; another is refused, and it is said which it would have to be.
#[test]
fn retiring_lowers_the_scale_by_one() {
    let server = Server::start(4);
    let mut provider = provider(&server);
    let error = not_done(provider.retire("henge-r1-1"));
    assert!(error.contains("retire henge-r1-1") && error.contains("that is henge-r1-3"), "{error}");
    provider.retire("henge-r1-3").unwrap();
    assert_eq!(done(&server), [3]);
    // Once more, it is done already.
    provider.retire("henge-r1-3").unwrap();
    assert_eq!(done(&server), [3]);
    let error = not_done(provider.retire("n1"));
    assert!(error.contains("a pod of none"), "{error}");
}

/// A StatefulSet may begin to count elsewhere.
#[test]
fn ordinals_may_begin_anywhere() {
    let server = Server::start(2);
    server.with(|kept| kept.start = Some(10));
    let mut provider = provider(&server);
    assert_eq!(provider.add(&order("e1")).unwrap(), "henge-r1-12");
    provider.retire("henge-r1-12").unwrap();
    assert_eq!(done(&server), [3, 2]);
}

/// Where the StatefulSet was written meanwhile the patch is refused; it is read again, and changed once.
#[test]
fn a_conflict_is_resolved_by_reading_again() {
    let server = Server::start(3);
    server.with(|kept| kept.patches = [Trouble::Overtaken, Trouble::Overtaken, Trouble::Overtaken].into());
    assert_eq!(provider(&server).add(&order("e1")).unwrap(), "henge-r1-3");
    assert_eq!((done(&server), server.with(|kept| kept.asked)), (vec![4], 4));
}

/// Whoever else has scaled it meanwhile knows why, and it is not scaled on top of that.
#[test]
fn somebody_elses_change_is_left_alone() {
    for other in [2, 4, 7] {
        let server = Server::start(3);
        server.with(|kept| kept.patches = [Trouble::SetBySomebody(other)].into());
        let error = not_done(provider(&server).add(&order("e1")));
        assert!(error.contains(&format!("from 3 to {other} replicas")), "{error}");
        assert!(done(&server).is_empty());
    }
    // The node that was drained is not the last any more.
    let server = Server::start(3);
    server.with(|kept| kept.patches = [Trouble::SetBySomebody(5)].into());
    let error = not_done(provider(&server).retire("henge-r1-2"));
    assert!(error.contains("that is henge-r1-4"), "{error}");
    assert!(done(&server).is_empty());
}

/// Errors of the server pass, and what was done in spite of them is seen and not done twice.
#[test]
fn a_server_in_trouble_is_asked_again() {
    for (troubles, patches) in [
        (vec![Trouble::Answers(500), Trouble::Answers(503)], 3),
        (vec![Trouble::Answers(429)], 2),
        (vec![Trouble::DoneBut(504)], 1),
        (vec![Trouble::Answers(500), Trouble::DoneBut(500)], 2),
        (vec![Trouble::Rubbish], 2),
    ] {
        let server = Server::start(3);
        server.with(|kept| kept.patches = troubles.clone().into());
        assert_eq!(provider(&server).add(&order("e1")).unwrap(), "henge-r1-3", "{troubles:?}");
        assert_eq!((done(&server), server.with(|kept| kept.asked)), (vec![4], patches), "{troubles:?}");
        let server = Server::start(4);
        server.with(|kept| kept.patches = troubles.clone().into());
        provider(&server).retire("henge-r1-3").unwrap();
        assert_eq!(done(&server), [3], "{troubles:?}");
    }
    let server = Server::start(3);
    server.with(|kept| kept.reads = [Trouble::Answers(500), Trouble::Answers(429)].into());
    assert_eq!(provider(&server).list().unwrap().len(), 3);
}

/// A request without an answer is given up in time, and the next read shows what became of it.
#[test]
fn a_slow_server_is_not_waited_for() {
    let server = Server::start(3);
    server.with(|kept| kept.patches = [Trouble::DoneSilently].into());
    assert_eq!(impatient(&server, "2s").add(&order("e1")).unwrap(), "henge-r1-3");
    assert_eq!(done(&server), [4]);
}

/// One that never answers ends the call in time: with *unknown* where something may have been done, and else with *not done*.
#[test]
fn a_silent_server_ends_the_call() {
    let server = Server::start(3);
    server.with(|kept| kept.patches = [Trouble::Silent; 12].into());
    let error = unknown(impatient(&server, "600ms").add(&order("e1")));
    assert!(error.contains("henge-r1") && error.contains("did not answer"), "{error}");
    let server = Server::start(3);
    server.with(|kept| kept.reads = [Trouble::Silent; 12].into());
    not_done(impatient(&server, "600ms").add(&order("e1")));
    not_done(impatient(&server, "600ms").retire("henge-r1-2"));
    not_done(impatient(&server, "600ms").list());
}

/// Asked once more under the same request, it knows what it has done.
#[test]
fn a_request_is_one_pod() {
    let server = Server::start(3);
    let mut provider = provider(&server);
    assert_eq!(provider.add(&order("e1")).unwrap(), "henge-r1-3");
    assert_eq!(provider.add(&order("e1")).unwrap(), "henge-r1-3");
    assert_eq!(done(&server), [4]);
    assert_eq!(provider.add(&order("e2")).unwrap(), "henge-r1-4");
    // Done with an answer that was lost, and asked for again.
    let server = Server::start(3);
    let mut provider = impatient(&server, "600ms");
    server.with(|kept| {
        kept.patches = [Trouble::DoneSilently].into();
        kept.reads = [Trouble::None, Trouble::None].into();
        kept.reads.extend([Trouble::Silent; 4]);
    });
    unknown(provider.add(&order("e1")));
    server.with(|kept| kept.reads.clear());
    assert_eq!(provider.add(&order("e1")).unwrap(), "henge-r1-3");
    assert_eq!(done(&server), [4]);
}

/// What is forbidden is told as the API says it, and not tried again.
#[test]
fn what_is_forbidden_is_told() {
    let server = Server::start(3);
    server.with(|kept| kept.patches = [Trouble::Answers(403)].into());
    let error = not_done(provider(&server).add(&order("e1")));
    assert!(error.contains("403") && error.contains("no right to patch its scale"), "{error}");
    assert_eq!(server.with(|kept| kept.asked), 1);
}

/// Answers that are none are no reason to panic, nor to scale.
#[test]
fn rubbish_is_not_believed() {
    let server = Server::start(3);
    server.with(|kept| kept.reads = [Trouble::Rubbish; 12].into());
    not_done(impatient(&server, "600ms").list());
    server.with(|kept| {
        kept.reads.clear();
        kept.replicas = -7;
    });
    let error = not_done(provider(&server).list());
    assert!(error.contains("-7"), "{error}");
    server.with(|kept| (kept.replicas, kept.start) = (3, Some(-1)));
    not_done(provider(&server).add(&order("e1")));
    assert!(done(&server).is_empty());
}

/// A server that is not there, a set that is not there, and a rack that has none.
#[test]
fn what_is_not_there_is_named() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let access = Access::At(format!("http://{}", nowhere.local_addr().unwrap()));
    drop(nowhere);
    not_done(Kubernetes::new(&config("300ms"), &access).unwrap().list());
    let server = Server::start(3);
    let mut other = config("20s");
    other.stateful_sets[0].name = "other".to_owned();
    let access = Access::At(format!("http://{}", server.address));
    let error = not_done(Kubernetes::new(&other, &access).unwrap().list());
    assert!(error.contains("404") && error.contains("other"), "{error}");
    let mut elsewhere = order("e1");
    elsewhere.wanted.rack = "r9".to_owned();
    let error = not_done(provider(&server).add(&elsewhere));
    assert!(error.contains("dc1/r9") && error.contains("autoscaler.kubernetes.stateful_sets"), "{error}");
}

/// What cannot work is named with what would.
#[test]
fn settings_are_checked() {
    let twice = KubernetesConfig {
        stateful_sets: [config("1s").stateful_sets, config("1s").stateful_sets].concat(),
        ..config("1s")
    };
    for (config, words) in [
        (KubernetesConfig::default(), ["autoscaler.kubernetes.stateful_sets", "for each rack"]),
        (twice, ["autoscaler.kubernetes.stateful_sets", "listed once"]),
        (config("soon"), ["autoscaler.kubernetes.within", "soon"]),
        (
            KubernetesConfig { namespace: Some("a/b".to_owned()), ..config("1s") },
            ["autoscaler.kubernetes.namespace", "a/b"],
        ),
    ] {
        let error = Settings::new(&config).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
