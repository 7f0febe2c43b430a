//! Carries out one failure, from beginning to end: everything is repaired when it returns.

use test_line::{Line, Traffic};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    cluster,
    house::House,
    plan::{Fault, Planned, Wire},
    table::Table,
};
use crate::Mood;

pub(super) async fn carry_out(house: &House, table: &Table, planned: &Planned, begin: Instant) {
    sleep_until(begin + planned.at).await;
    match planned.trouble {
        Fault::Killed { process, away } => house.processes[process].killed(away).await,
        Fault::Stalled { process, lasts } => house.processes[process].stalled(lasts).await,
        Fault::Gone { process, away } => house.gone(process, away).await,
        Fault::Paused { process, lasts } => house.processes[process].stalled(lasts).await,
        Fault::Restarted { process } => house.processes[process].restarted().await,
        Fault::Cut { wire } => lines(house, table, wire).iter().for_each(|line| line.cut()),
        Fault::Impeded {
            wire,
            passage,
            lasts,
        } => {
            let lines = lines(house, table, wire);
            lines.iter().for_each(|line| line.set(passage));
            sleep(lasts).await;
            lines.iter().for_each(|line| line.set(Traffic::Open));
        }
        Fault::ServerDies { server, away } => {
            let servers = house
                .servers
                .as_ref()
                .expect("planned only where there are servers");
            let _alone = house.lock_failures_of(server).await;
            servers.kill(server).await;
            sleep(away).await;
            servers.start_again(server).await;
        }
        Fault::Node { node, fault } => cluster::carry_out(house, node, fault).await,
        Fault::QueueEmptied => house.empty_queue().await,
        Fault::QueueDeleted => house.delete_queue().await,
        Fault::Mood { mood, lasts } => {
            table.integrator.always(mood);
            sleep(lasts).await;
            table.integrator.always(Mood::Fine);
        }
    }
}

fn lines<'a>(house: &'a House, table: &'a Table, wire: Wire) -> Vec<&'a Line> {
    match wire {
        Wire::Integrator => vec![&table.line],
        wire => house.wires(wire),
    }
}
