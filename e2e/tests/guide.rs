//! Tests the guides. docs/integrators.md: its code, its JSON, its tables, and the integrator in Python that was written from
//! it. docs/quickstart.md and docs/api.md: their commands.

#[path = "guide/blocks.rs"]
mod blocks; // the guide's code blocks
#[path = "../../docs/integrators/callback.rs"]
#[expect(
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "the guide's readers make it a module of their own, and have no clock of ours"
)]
mod callback;
#[path = "guide/callbacks.rs"]
mod callbacks; // callbacks in four languages
#[path = "guide/commands.rs"]
mod commands; // the commands of the quickstart and the API guide
#[path = "guide/examples.rs"]
mod examples; // its JSON, compared with an expediter's
#[path = "guide/integrator.rs"]
mod integrator; // docs/integrators/example.py
#[path = "guide/languages.rs"]
mod languages; // signatures in four languages
#[path = "guide/recorder.rs"]
mod recorder; // a server that records requests
#[path = "../../docs/integrators/signature.rs"]
#[expect(
    unreachable_pub,
    reason = "the guide's readers make it a module of their own"
)]
mod signature;
#[path = "guide/tables.rs"]
mod tables; // its tables, compared with the code's
