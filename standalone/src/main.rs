//! The `expediter` binary: runs everything in one process, or one administration command.

mod command_line; // commands and options
mod refusal; // errors that stop a command, one line each

mod addresses; // local and public URL
mod data_dir; // lock and private files
mod demo; // demonstration store with a kitchen and a courier
mod running; // text printed after the start
mod serve; // everything in one process

mod commands; // one file each

use std::process::ExitCode;

use clap::Parser;

use self::{
    command_line::{Command, CommandLine},
    refusal::Refusal,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(CommandLine::parse()).await {
        Ok(code) => code,
        Err(refusal) => {
            refusal.print();
            ExitCode::from(refusal::EXIT_CODE)
        }
    }
}

async fn run(line: CommandLine) -> Result<ExitCode, Refusal> {
    if let Some(Command::Openapi { directory }) = &line.command {
        return commands::openapi::write(directory);
    }
    let settings = line.settings()?;
    match line.command {
        None => serve::serve(settings).await,
        Some(Command::DemoOrder(options)) => commands::demo_order::place(&settings, options).await,
        Some(Command::Audit(ask)) => commands::audit::audit(&settings, &ask).await,
        Some(Command::Archive(options)) => commands::archive::archive(&settings, options).await,
        Some(Command::Migrate) => commands::migrate::migrate(&settings).await,
        Some(Command::Reseal) => commands::reseal::reseal(&settings).await,
        Some(Command::NewEpoch) => commands::new_epoch::begin(&settings).await,
        Some(Command::Operator { username }) => {
            commands::create_user::make_operator(&settings, username).await
        }
        Some(Command::CreateUser(options)) => commands::create_user::make(&settings, options).await,
        Some(Command::MockUsers { store }) => commands::mock_users::print(&settings, store).await,
        Some(Command::AddProducts { store }) => commands::add_products::add(&settings, store).await,
        Some(Command::Listen(options)) => commands::listen::listen(&settings, options).await,
        Some(Command::Trigger(options)) => commands::trigger::trigger(&settings, options).await,
        Some(Command::Replay(options)) => commands::replay::replay(&settings, options).await,
        Some(Command::CheckConfig) => commands::check_config::check(&settings),
        Some(Command::CheckIntegrator(options)) => {
            commands::check_integrator::check(&settings, *options).await
        }
        Some(Command::Openapi { .. }) => unreachable!("handled before the settings were read"),
    }
}
