//! What a token says of a host stands in the events of that host, and rules can ask for it.

use picket_tests::harness::{Agent, LogFile, Programs, await_until, fleet};

use super::DEADLINE;
use super::world::{World, of_file, of_lake};

#[test]
fn group_zone_tenant_and_tags_of_a_token_stand_in_the_events_of_its_hosts() -> anyhow::Result<()> {
    let world = World::start("facts")?;
    let aggregator = &world.pair.aggregator;
    let yaml = std::fs::read_to_string(aggregator.config())?;
    let rule = "reduce:\n- drop: { name: tenant, where: { metadata.tenant_uid: acme, message|contains: noise } }\n";
    let new = aggregator.config().with_extension("new");
    std::fs::write(&new, yaml.replace("reduce:\n", rule))?;
    std::fs::rename(new, aggregator.config())?;
    await_until("the rule in force", DEADLINE, || {
        let said = std::fs::read_to_string(aggregator.log()).unwrap_or_default();
        Ok(said.contains("it is in force").then_some(()))
    })?;
    let create = "token create --group web --zone dmz --tenant acme --tag role=shop --tag site=ber";
    let token = aggregator.command(&create.split(' ').collect::<Vec<_>>())?;
    let logs = world.pair.place().at("others");
    std::fs::create_dir_all(&logs)?;
    let (programs, folder) = (Programs::of_this_build()?, world.pair.place().at("shop"));
    let mut shop = Agent::enroll_with(&programs, &folder, aggregator, token.trim(), ("shop-1", &fleet(&logs, "")))?;
    shop.start()?;
    for folder in [&logs, &world.pair.logs()] {
        LogFile::open(&folder.join("app.log"))?
            .write(b"Jan  5 10:00:00 x app[1]: noise\nJan  5 10:00:00 x app[1]: wanted\n")?;
    }
    await_until("the lines of both", DEADLINE, || {
        Ok((of_file(&world.file()).map_or(0, |events| events.len()) >= 3).then_some(()))
    })?;
    let metrics = world.pair.await_quiet(DEADLINE)?;
    assert_eq!(metrics.count("picket_aggregator_reduced_events_total", &[("rule", "tenant"), ("sink", "lake")]), 1);
    for events in [of_file(&world.file())?, of_lake(&aggregator.lake())?] {
        assert_eq!(events.len(), 3);
        for event in events {
            let device = &event["device"];
            if device["hostname"] == "shop-1" {
                assert_eq!((&device["groups"][0]["name"], &device["zone"]), (&"web".into(), &"dmz".into()));
                assert_eq!(event["metadata"]["tenant_uid"], "acme");
                assert_eq!(event["metadata"]["labels"], serde_json::json!(["role=shop", "site=ber"]));
            } else {
                assert_eq!((&device["groups"][0]["name"], device.get("zone")), (&"default".into(), None));
            }
        }
    }
    shop.stop()?;
    world.pair.finish(DEADLINE)
}
