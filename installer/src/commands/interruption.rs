//! Ctrl-C and its like: what a person who wants to stop is asked, and how a command ends then.

use futures::Stream;
use futures::channel::mpsc;

use crate::provision::Steer;
use crate::ui::failure::Kind;
use crate::ui::{Code, Event, Failure, Ui};
use crate::world::{Asked, Signals, SignalsGoTo, World};

/// Question at the first Ctrl-C.
const QUESTION: &str =
    "Stop after the steps that Azure is busy with? Nothing new begins meanwhile; Ctrl-C again stops at once.";

/// The wishes of a person, and of other programs, while a plan is carried out.
///
/// The first Ctrl-C at a terminal asks, once. Where nobody can be asked, or a program wants it, the steps
/// under way are waited for. The second signal waits for nothing.
pub(super) struct Wishes {
    steers: mpsc::UnboundedReceiver<Steer>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Wishes {
    /// Listens from now on.
    pub(super) fn of(world: &World, ui: &Ui) -> Self {
        let (sender, steers) = mpsc::unbounded();
        // Without a handler nobody can stop it in a good way, which is no reason not to begin.
        let task = world.signals().ok().map(|signals| {
            world.signals_go_to.send_replace(SignalsGoTo::Plan);
            tokio::spawn(listen(world.clone(), ui.clone(), signals, sender))
        });
        Self { steers, task }
    }

    /// The wishes, as they come.
    pub(super) fn steering(&mut self) -> impl Stream<Item = Steer> {
        &mut self.steers
    }

    /// The plan is over, and the command deals with signals.
    pub(super) fn end(self, world: &World) {
        if let Some(task) = self.task {
            task.abort();
            world.signals_go_to.send_replace(SignalsGoTo::CommandAfter);
        }
    }
}

async fn listen(world: World, ui: Ui, mut signals: Signals, steers: mpsc::UnboundedSender<Steer>) {
    // A send fails when the plan is over, and then nobody needs to know.
    let steer = |steer| {
        let _ = steers.unbounded_send(steer);
    };
    let first = signals.next().await;
    let mut stops = true;
    if first == Asked::Interrupt && ui.asks(&world) {
        steer(Steer::Hold);
        tokio::select! {
            biased;
            _ = signals.next() => {
                ui.answered();
                return steer(Steer::Leave);
            }
            answer = ui.ask_meanwhile(&world, QUESTION) => stops = answer,
        }
        ui.answered();
    }
    if !stops {
        ui.say(Event::Note { text: "going on".to_owned() });
        steer(Steer::GoOn);
        // They are not asked twice.
        signals.next().await;
    }
    let text = "stopping: what Azure is busy with is waited for; once more stops at once";
    ui.say(Event::Note { text: text.to_owned() });
    steer(Steer::Finish);
    signals.next().await;
    steer(Steer::Leave);
}

/// Becomes ready when a signal asks the command to end and no plan is being carried out. Until the first
/// question or plan the operating system ends the process, and this never becomes ready.
pub(super) async fn of_command(world: &World) -> Failure {
    let mut signals_go_to = world.signals_go_to.subscribe();
    let ours = |now: &SignalsGoTo| matches!(now, SignalsGoTo::CommandBefore | SignalsGoTo::CommandAfter);
    loop {
        let now = signals_go_to.wait_for(ours).await.map(|now| *now);
        // Without a handler the operating system goes on ending the process.
        let (Ok(now), Ok(mut signals)) = (now, world.signals()) else { return std::future::pending().await };
        tokio::select! {
            _ = signals.next() => return stopped(now),
            _ = signals_go_to.wait_for(|other| *other != now) => {}
        }
    }
}

fn stopped(now: SignalsGoTo) -> Failure {
    if now == SignalsGoTo::CommandBefore {
        return Failure::stopped();
    }
    let mut failure =
        Failure::user(Code::Stopped, "stopped while looking at the result; the plan itself was carried out");
    failure.kind = Kind::Interrupted;
    failure.after(vec!["the whole plan".to_owned()], "`mimecast-sentinel status` shows how things stand")
}
