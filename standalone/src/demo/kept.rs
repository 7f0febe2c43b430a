//! `data/demo.json`: what a later start needs to know about the demonstration; readable by its owner only.

use std::{fmt, fs, io, path::PathBuf};

use domain::{
    account::Role,
    ids::{IntegratorId, StoreId},
};
use platform::chance::Chance;
use serde::{Deserialize, Serialize};

use crate::{
    data_dir::{DataDir, write_private},
    refusal::Refusal,
};

const FILE: &str = "demo.json";
/// Length of a password in hexadecimal digits: 64 bits, and easy to copy.
const PASSWORD_DIGITS: usize = 16;

/// State of the demonstration, saved after every step so that the next start resumes an interrupted one.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedDemo {
    #[serde(skip)]
    path: PathBuf,
    /// True once everything was created; from then on missing parts are not created again.
    pub(super) complete: bool,
    pub(super) store: Option<StoreId>,
    pub(super) kitchen: Option<SavedIntegrator>,
    pub(super) courier: Option<SavedIntegrator>,
    /// Password with which this process signs in at the courier.
    pub(super) courier_password: Option<String>,
    pub(super) logins: Vec<Login>,
}

/// Kitchen or courier, as the store's integrator.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SavedIntegrator {
    pub(super) integrator: IntegratorId,
    pub(super) signing_secret: String,
    pub(super) callback_secret: String,
}

/// Account of the demonstration.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) role: Role,
}

impl SavedDemo {
    pub(super) fn read(data_dir: &DataDir) -> Result<Option<Self>, Refusal> {
        let path = data_dir.file(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Refusal::DataDir { path, cause }),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(kept) => Ok(Some(Self { path, ..kept })),
            Err(cause) => Err(Refusal::DemoFile { path, cause }),
        }
    }

    /// Creates the file with random logins, before anything else is created.
    pub(super) fn begin(data_dir: &DataDir, chance: &Chance) -> io::Result<Self> {
        let login = |role: Role| Login {
            username: role.as_str().to_owned(),
            password: chance.session_code()[..PASSWORD_DIGITS].to_owned(),
            role,
        };
        let kept = Self {
            path: data_dir.file(FILE),
            complete: false,
            store: None,
            kitchen: None,
            courier: None,
            courier_password: None,
            logins: [Role::Operator, Role::Manager, Role::Staff, Role::Customer]
                .map(login)
                .to_vec(),
        };
        kept.save()?;
        Ok(kept)
    }

    /// Returns the courier's password; makes it if an older version, which had no courier, made the file.
    pub(super) fn courier_password(&mut self, chance: &Chance) -> io::Result<String> {
        if let Some(password) = &self.courier_password {
            return Ok(password.clone());
        }
        let password = chance.session_code();
        self.courier_password = Some(password.clone());
        self.save()?;
        Ok(password)
    }

    pub(super) fn save(&self) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        write_private(&self.path, &text)
    }
}

impl fmt::Debug for SavedDemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedDemo")
            .field("path", &self.path)
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SavedIntegrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedIntegrator")
            .field("integrator", &self.integrator)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
