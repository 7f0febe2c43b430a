//! Carries out one failure, from beginning to end: everything is repaired when it returns.

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    house::House,
    line::{Line, Passage},
    plan::{Planned, Trouble, Wire},
    queue,
    table::Table,
};
use crate::Mood;

pub(super) async fn happens(house: &House, table: &Table, planned: &Planned, begin: Instant) {
    sleep_until(begin + planned.at).await;
    match planned.trouble {
        Trouble::Killed { process, away } => house.processes[process].killed(away).await,
        Trouble::Stalled { process, lasts } => house.processes[process].stalled(lasts).await,
        Trouble::Restarted { process } => house.processes[process].restarted().await,
        Trouble::Cut { wire } => line(house, table, wire).cut(),
        Trouble::Impeded {
            wire,
            passage,
            lasts,
        } => {
            let line = line(house, table, wire);
            line.set(passage);
            sleep(lasts).await;
            line.set(Passage::Open);
        }
        Trouble::ServerDies { server, away } => {
            let servers = house
                .servers
                .as_ref()
                .expect("planned only where there are servers");
            let _alone = house.one_death_at_a_time().await;
            servers.kill(server).await;
            sleep(away).await;
            servers.start_again(server).await;
        }
        Trouble::QueueEmptied => queue::empty(house).await,
        Trouble::QueueDeleted => queue::delete(house).await,
        Trouble::Mood { mood, lasts } => {
            table.integrator.always(mood);
            sleep(lasts).await;
            table.integrator.always(Mood::Fine);
        }
    }
}

fn line<'a>(house: &'a House, table: &'a Table, wire: Wire) -> &'a Line {
    house.wire(wire).unwrap_or(&table.line)
}
