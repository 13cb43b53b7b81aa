//! The DingTalk simulator, looked at from outside: over HTTP, and through its handle.

mod answers;
mod api;
mod changes;
mod control;
mod events;
mod faults;
mod organisation;
mod receiver;
