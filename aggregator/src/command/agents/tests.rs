//! With and without an aggregator that answers.

use std::sync::Arc;

use shared::stop::{Stage, Stop};

use super::*;
use crate::admin::socket::{Handler, Reply, bind, serve};
use crate::command::scratch::Scratch;
use crate::journal::offline::testing::{AGENT, Maker};

/// An aggregator that answers on the socket of `scratch` while `work` runs.
fn answered(scratch: &Scratch, handler: impl Fn(Request) -> Reply + Send + Sync + 'static, work: impl FnOnce()) {
    let listener = bind(&scratch.state().join("admin.sock"), &scratch.state()).unwrap();
    let (stop, handler): (Stop, Handler) = (Stop::new(), Arc::new(handler));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(listener, handler, stopped)).unwrap();
    });
    work();
    stop.raise(Stage::Draining);
    thread.join().unwrap();
}

#[test]
fn agents_of_roster_and_journal_are_listed_with_what_is_known() {
    let scratch = Scratch::initialized("agents-list");
    assert_eq!(scratch.rows("agents list").len(), 0);
    let web = scratch.enroll("web-1");
    Maker::at(scratch.state()).lines(&["one"]);
    let rows = scratch.rows("agents list");
    assert_eq!(rows.len(), 2, "the aggregator's own chain is no agent: {rows:?}");
    let row = |id: AgentId| rows.iter().find(|row| row["agent"] == id.to_string()).unwrap();
    assert_eq!((row(web)["hostname"].as_str(), row(web)["state"].as_str()), (Some("web-1"), Some("enrolled")));
    assert_eq!((&row(web)["last_frame"], &row(web)["connected"]), (&Value::Null, &Value::Null));
    assert_eq!((row(AGENT)["state"].as_str(), row(AGENT)["last_frame"].is_string()), (Some("unknown"), true));
}

#[test]
fn one_agent_is_shown_with_certificate_chains_and_session() {
    let scratch = Scratch::initialized("agents-show");
    let web = scratch.enroll("web-1");
    Maker::at(scratch.state()).lines(&["one"]);
    let state = AgentState {
        agent: web,
        version: "0.1.0".to_owned(),
        hostname: "web-1".to_owned(),
        labels: BTreeMap::new(),
        granted: BTreeMap::new(),
        desired: Some("new".to_owned()),
        running: "old".to_owned(),
        local_fleet: false,
        clock_offset_ms: Some(-1_500),
        status: Some(json!({
            "sources": [{ "name": "logs", "lag_bytes": 7 }],
            "spool": { "lanes": { "high": { "lost": { "x": 3 } } } },
            "remarks": [{ "urgent": true, "what": "lane high is full", "advice": "make room" }],
        })),
        status_at: Some(scratch.now),
    };
    let session = OpenSession { agent: web, peer: "192.0.2.1:5".parse().unwrap(), since: scratch.now };
    let handler = move |request| match request {
        Request::Sessions => Reply::ok(&[&session]),
        Request::Agents => Reply::ok(&[&state]),
        _ => Reply::error(Reason::Internal, "not asked for"),
    };
    let inner = &scratch;
    answered(inner, handler, move || {
        let rows = inner.rows("agents show web-1");
        assert_eq!((rows[0]["desired"].as_str(), rows[0]["running"].as_str()), (Some("new"), Some("old")));
        assert_eq!((rows[0]["config"].as_str(), rows[0]["clock_offset_ms"].as_i64()), (Some("behind"), Some(-1_500)));
        assert_eq!(
            (&rows[0]["version"], &rows[0]["sources"][0]["lag_bytes"]),
            (&Value::from("0.1.0"), &Value::from(7))
        );
        assert_eq!(
            (&rows[0]["spool"][0]["lane"], &rows[0]["spool"][0]["lost"]["x"]),
            (&"high".into(), &Value::from(3))
        );
        assert_eq!(rows[0]["remarks"][0]["urgent"], true);
        let text = inner.text("agents show web-1").unwrap();
        assert!(text.lines().any(|line| line.starts_with("spool") && line.contains("lane high")), "{text}");
        assert_eq!((&rows[0]["connected"], &rows[0]["peer"]), (&Value::Bool(true), &Value::from("192.0.2.1:5")));
        assert!(rows[0]["certificate_ends"].is_string() && rows[0]["token"].is_string(), "{rows:?}");
        let rows = inner.rows(&format!("agents show {AGENT}"));
        assert_eq!((&rows[0]["connected"], &rows[0]["chains"][0]["through"]), (&Value::Bool(false), &Value::from(2)));
    });
    assert!(scratch.text("agents show web-1").unwrap().contains("certificate_ends"));
    for nobody in ["web-9", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        assert_eq!(scratch.text(&format!("agents show {nobody}")).unwrap_err().reason, Reason::Data);
    }
}

#[test]
fn a_revocation_goes_through_the_aggregator_when_one_runs() {
    let scratch = Scratch::initialized("agents-revoke");
    let web = scratch.enroll("web-1");
    let handler = move |request| match request {
        Request::Revoke { agent, reason } if agent == "web-1" => {
            assert_eq!(reason, "stolen");
            Reply::ok(&Revoked { agent: web, outcome: Revocation::Revoked })
        }
        _ => Reply::error(Reason::Data, "no agent calls itself that"),
    };
    let inner = &scratch;
    answered(inner, handler, move || {
        let rows = inner.rows("agents revoke web-1 --reason stolen");
        assert_eq!(
            (rows[0]["agent"].as_str(), rows[0]["outcome"].as_str()),
            (Some(&*web.to_string()), Some("revoked"))
        );
        assert_eq!(inner.text("agents revoke web-2").unwrap_err().reason, Reason::Data);
    });
    // The one that answered wrote nothing: without it the command does.
    assert_eq!(scratch.rows("agents list")[0]["state"], "enrolled");
    assert_eq!(scratch.rows("agents revoke web-1 --reason stolen")[0]["outcome"], "revoked");
    assert_eq!(scratch.rows(&format!("agents revoke {web}"))[0]["outcome"], "before");
    assert_eq!(scratch.rows(&format!("agents show {web}"))[0]["revoked_reason"], "stolen");
    assert_eq!(scratch.rows("agents revoke 01890a5d-ac96-774b-bcce-b302099a8057")[0]["outcome"], "stranger");
    assert_eq!(scratch.text("agents revoke web-1").unwrap_err().reason, Reason::Data);
}

#[test]
fn a_state_that_is_held_by_an_aggregator_that_does_not_answer_is_69() {
    let scratch = Scratch::initialized("agents-held");
    let web = scratch.enroll("web-1");
    let writer = shared::durable::Writer::for_owner_of(&scratch.state()).unwrap();
    let _lock = crate::ca::lock::StateLock::take(&scratch.state(), &writer).unwrap();
    let exit = scratch.text(&format!("agents revoke {web}")).unwrap_err();
    assert_eq!(exit.reason, Reason::Unavailable);
}

#[test]
fn what_root_changes_belongs_to_the_owner_of_the_state() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    use std::os::unix::fs::MetadataExt as _;
    fn strangers(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        let below = entries.iter().filter(|path| path.is_dir()).flat_map(|path| strangers(path));
        let here = entries.iter().filter(|path| path.symlink_metadata().unwrap().uid() != 4_242).cloned();
        below.chain(here).collect()
    }
    let scratch = Scratch::new("agents-owner");
    std::os::unix::fs::chown(&scratch.dir, Some(4_242), Some(4_242)).unwrap();
    scratch.text("init --dir DIR/agg -c none").unwrap();
    let config = "-c DIR/agg/aggregator.yaml";
    scratch.text(&format!("token create {config}")).unwrap();
    scratch.text(&format!("agents revoke 01890a5d-ac96-774b-bcce-b302099a8057 {config}")).unwrap();
    drop(bind(&scratch.dir.join("agg/state/admin.sock"), &scratch.dir.join("agg/state")).unwrap());
    assert_eq!(strangers(&scratch.dir), [] as [std::path::PathBuf; 0]);
}
