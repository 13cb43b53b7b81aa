//! What runs behind the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use super::secrets::watch_secrets;
use super::{Daemon, Half};
use crate::apply::keep_applying;
use crate::dingtalk::robot::Robot;
use crate::notice::{Post, tell};
use crate::receive::{self, CallbackEndpoint, Callbacks, Door, Gaps, Wakes, watch_gaps};
use crate::replicas::Membership;
use crate::sync::{Engine, classify, lead};

/// Before a newcomer works, the others have heard of it and given it its share.
const MAKING_ROOM: Duration = Duration::from_millis(2_500);

impl Daemon<'_> {
    /// Starts everything that needs the database.
    pub(super) fn start_behind_database(&mut self) {
        for corp in &self.config.corps {
            self.metrics.introduce(&corp.name, receive::CALLBACK_RESULTS);
        }
        if self.args.only != Some(Half::Work) {
            self.open_gate();
        }
        let leads = self.join_others();
        let leading_too = leads.clone();
        let tasks = &mut self.tasks;
        if let Some(engine) = &self.engine {
            let has_others = |membership: &Membership| !membership.view().borrow().others.is_empty();
            let delay =
                if self.membership.as_ref().is_some_and(has_others) { MAKING_ROOM } else { Duration::ZERO };
            engine.spawn_workers(tasks, delay);
            let pulse = tasks.pulse("lead");
            let reconcile = self.config.reconcile;
            let leading = lead(
                engine.clone(),
                reconcile,
                self.membership.clone(),
                leads,
                self.metrics.clone(),
                tasks.shutdown(),
                pulse,
            );
            tasks.spawn("lead", leading);
            for corp in &self.config.corps {
                let Some((robot, context)) = corp.robot.as_ref().zip(engine.context(&corp.name)) else {
                    continue;
                };
                let robot = Robot::new(robot.webhook.clone(), robot.secret.clone());
                let name = format!("notices of {}", corp.name);
                let (pulse, shutdown) = (tasks.pulse(&name), tasks.shutdown());
                let post = Post { context: Arc::clone(context), robot, fills_oa: corp.apply.is_some() };
                tasks.spawn(name, tell(post, leading_too.clone(), shutdown, pulse));
            }
        }
        for applier in self.appliers.drain(..).filter(|_| self.engine.is_some()) {
            let name = format!("OA tables of {}", applier.corp);
            let (pulse, shutdown) = (tasks.pulse(&name), tasks.shutdown());
            tasks.spawn(name, keep_applying(applier, leading_too.clone(), shutdown, pulse));
        }
        let pulse = tasks.pulse("secrets");
        let secrets = self.config.secrets_in_files();
        tasks.spawn("secrets", watch_secrets(secrets, tasks.shutdown(), pulse));
        self.in_place.store(true, Ordering::Release);
        info!("ready");
    }

    /// Shows the others that this process is there, and keeps to its share of the calls. Brings whether it leads.
    pub(super) fn join_others(&mut self) -> watch::Receiver<bool> {
        let Some(membership) = self.membership.clone() else { return watch::channel(true).1 };
        let (leads, leading) = watch::channel(false);
        let mut view = membership.view();
        let (engine, tasks) = (self.engine.clone(), &mut self.tasks);
        let (shutdown, pulse) = (tasks.shutdown(), tasks.pulse("membership"));
        tasks.spawn("membership", membership.live(shutdown.clone(), pulse));
        tasks.spawn("share", async move {
            loop {
                let seen = view.borrow_and_update().clone();
                if let Some(engine) = &engine {
                    engine.share(seen.working);
                }
                leads.send_replace(seen.leads);
                tokio::select! {
                    Ok(()) = view.changed() => {}
                    () = shutdown.cancelled() => return,
                    else => return,
                }
            }
        });
        leading
    }

    /// Lets callbacks through to the database.
    pub(super) fn open_gate(&mut self) {
        let wakes: Wakes = self
            .engine
            .iter()
            .flat_map(Engine::contexts)
            .map(|context| (context.corp_id.clone(), Arc::clone(&context.wake)))
            .collect();
        let (door, arrivals) = Door::open();
        self.tasks.spawn("inbox", arrivals.commit(self.store.clone(), Arc::clone(&self.clock), wakes));
        let endpoints: HashMap<String, CallbackEndpoint> = self
            .config
            .corps
            .iter()
            .filter_map(|corp| {
                let stats = self.inboxes.get(&corp.name).cloned().unwrap_or_default();
                Some((corp.name.clone(), CallbackEndpoint::of(corp, stats)?))
            })
            .collect();
        let gaps = Gaps::default();
        let watching = watch_gaps(
            gaps.clone(),
            endpoints.values().cloned().collect(),
            self.store.clone(),
            (Arc::clone(&self.clock), self.clock.now()),
            self.tasks.shutdown(),
            self.tasks.pulse("gaps"),
        );
        self.tasks.spawn("gaps", watching);
        let callbacks = receive::router(Callbacks {
            excluded: Arc::clone(self.store.excluded()),
            endpoints,
            classify,
            door,
            gaps,
            clock: Arc::clone(&self.app.clock),
            random: self.app.random.clone(),
            metrics: self.metrics.clone(),
        });
        // Set once, here.
        drop(self.gate.set(callbacks));
    }
}
