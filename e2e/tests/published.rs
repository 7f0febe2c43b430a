//! Tests `openapi/integrators.yaml` and `openapi/live.yaml`: public tools accept them, their examples are replayed, and
//! each event, field, header, answer and close code of the code stands in them, and the other way round.

#[path = "published/callbacks.rs"]
mod callbacks; // the callbacks that are documented, sent as they stand there
#[path = "published/examples.rs"]
mod examples; // the examples, words and answers of the code
#[path = "published/lint.rs"]
mod lint; // public tools
#[path = "published/live.rs"]
mod live; // recorded frames, close codes and refusals of live channels
#[path = "published/messages.rs"]
mod messages; // what integrators are sent
#[path = "published/recorded.rs"]
mod recorded; // a store in which every event happens
