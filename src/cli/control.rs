//! The control socket of a run: whoever may open it may change the run's load while it goes on.
//!
//! One line in, a few lines out, one client after the other, on a thread of its own: whatever a client does, it costs the lanes
//! nothing. Only the user who started the run may open the socket.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::ctl::Command;
use super::exit::Failure;
use crate::arrival::Profile;
use crate::engine::{Act, Change, Course, Sightings, Steering};
use crate::measure::{Event, EventKind, Summary};
use crate::report::humane_rate;
use crate::time::{Moment, Rate, humane_duration};

/// No command is longer.
const LONGEST: usize = 200;
/// How long a client may take for all that it says and hears.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait where nobody can be let in, for want of descriptors mostly.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is noted, while nobody says anything, that a pause goes on.
const BEAT: Duration = Duration::from_millis(500);
/// The word for a place that `mcpace ctl` finds by itself.
const AUTO: &str = "auto";

/// The flag that opens a socket.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ControlArgs {
    /// Open a socket there by which `mcpace ctl` changes rate and phase while the run goes on; auto: where it looks unasked.
    #[arg(long, value_name = "PATH|auto", help_heading = "Load")]
    control: Option<PathBuf>,
}

impl ControlArgs {
    /// Where the flag asks for a socket by its path.
    pub(super) fn path(&self) -> Option<&Path> {
        self.control.as_deref().filter(|path| path.as_os_str() != AUTO)
    }
}

/// Why there is no socket. Messages are fragments that follow "failed to".
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("open the control socket {0}: another run listens there, give --control another path")]
    Taken(PathBuf),
    #[error("open the control socket {0}: there is something else than a socket, give --control another path")]
    Other(PathBuf),
    #[error(
        "open the control socket {path}: it has {length} bytes, and a socket's path there at most {most}: give --control a shorter path"
    )]
    TooLong { path: PathBuf, length: usize, most: usize },
    #[error("open the control socket {path}: {why}; give --control another path in a folder that you may write to")]
    Io { path: PathBuf, why: io::Error },
}

/// Where a run is that was asked to listen without a path.
pub(super) fn default_path() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("mcpace.sock"),
        None => std::env::temp_dir().join(format!("mcpace-{}.sock", rustix::process::getuid().as_raw())),
    }
}

/// A socket that is there until this value is dropped.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    /// What tells our socket from one that took its place.
    inode: (u64, u64),
    /// Its end ends the thread.
    _open: watch::Sender<()>,
}

impl Control {
    /// Opens the socket that the flag asks for, of the run with this id.
    pub(super) fn open(
        args: &ControlArgs,
        run_id: &str,
        steering: &Steering,
        events: Sightings<Event>,
    ) -> Result<Option<Self>, Failure> {
        let Some(path) = &args.control else { return Ok(None) };
        let path = if path.as_os_str() == AUTO { default_path() } else { path.clone() };
        let opened = Self::listen(
            path,
            Helmsman { run_id: run_id.to_owned(), steering: steering.clone(), events, paused: None },
        );
        let control = opened.map_err(|why| Failure::usage(anyhow::anyhow!("failed to {why}")))?;
        tracing::info!("the run is controlled at {}", control.path.display());
        Ok(Some(control))
    }

    fn listen(path: PathBuf, mut helmsman: Helmsman) -> Result<Self, ControlError> {
        let listener = bind(&path)?;
        let broken = |why| ControlError::Io { path: path.clone(), why };
        let meta = fs::symlink_metadata(&path).map_err(broken)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
        let listener = {
            let _inside = runtime.enter();
            listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)).map_err(broken)?
        };
        let (open, mut over) = watch::channel(());
        let serve = move || {
            runtime.block_on(async {
                loop {
                    let client = tokio::select! {
                        _ = over.changed() => return,
                        client = timeout(BEAT, listener.accept()) => client,
                    };
                    match client {
                        Ok(Ok((stream, _))) => drop(timeout(PATIENCE, helmsman.serve(stream)).await),
                        Ok(Err(_)) => drop(timeout(BREATH, std::future::pending::<()>()).await),
                        Err(_) => {}
                    }
                    helmsman.go_on();
                }
            });
        };
        thread::Builder::new().name("control".to_owned()).spawn(serve).map_err(broken)?;
        Ok(Self { path, inode: (meta.dev(), meta.ino()), _open: open })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode);
        if ours {
            // One that stays is replaced by the next run.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Listens at `path`, for this user alone. A socket that nobody listens at any more is replaced.
fn bind(path: &Path) -> Result<net::UnixListener, ControlError> {
    let broken = |why| ControlError::Io { path: path.to_owned(), why };
    // Made in a folder of our own, so that nobody else can open it before it has its permissions.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = parent.join(format!(".mcpace-{}", std::process::id()));
    let inside = folder.join("s");
    // A longer one could be had by its new name, and nobody could connect to it.
    if [path, &inside].into_iter().any(|path| net::SocketAddr::from_pathname(path).is_err()) {
        let length = path.as_os_str().len();
        let most = longest_path().saturating_sub(inside.as_os_str().len().saturating_sub(length));
        return Err(ControlError::TooLong { path: path.to_owned(), length, most });
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return Err(ControlError::Other(path.to_owned())),
        Ok(_) => match net::UnixStream::connect(path).map_err(|why| (why.kind(), why)) {
            Ok(_) => return Err(ControlError::Taken(path.to_owned())),
            Err((io::ErrorKind::ConnectionRefused, _)) => {
                tracing::info!("the socket {} of a run that is gone is replaced", path.display());
            }
            Err((io::ErrorKind::NotFound, _)) => {}
            // Whether somebody listens there is not known.
            Err((_, why)) => return Err(broken(why)),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(broken(why)),
    }
    make_folder(&folder).map_err(broken)?;
    let listener = net::UnixListener::bind(&inside);
    let made = listener.and_then(|listener| {
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    drop(fs::remove_file(&inside));
    drop(fs::remove_dir(&folder));
    made.map_err(broken)
}

/// How many bytes the path of a socket has at most.
fn longest_path() -> usize {
    (1..1024)
        .take_while(|length| net::SocketAddr::from_pathname("x".repeat(*length)).is_ok())
        .last()
        .unwrap_or_default()
}

/// Makes a folder that is this user's alone. One of its name can only be there of a process that had our id, and is gone.
fn make_folder(folder: &Path) -> io::Result<()> {
    let make = || fs::DirBuilder::new().mode(0o700).create(folder);
    match make() {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {
            drop(fs::remove_file(folder.join("s")));
            fs::remove_dir(folder)?;
            make()
        }
        result => result,
    }
}

/// Whether the end of a schedule is more than that of the longest one there is.
fn is_known(end: Moment) -> bool {
    end < Moment::ZERO.after(Profile::endless(Rate::ZERO).duration())
}

/// Completes the pause that a run has ended in: it lasted until its schedule's end.
pub(super) fn complete(steering: &Steering, summary: &mut Summary) {
    let paused = steering.course().and_then(|course| course.paused);
    if let Some(at) = paused.filter(|at| *at < summary.until) {
        summary.events.note(Event { at, until: summary.until, kind: EventKind::Paused, figure: 0.0 });
    }
}

/// Carries out what clients ask for.
struct Helmsman {
    run_id: String,
    steering: Steering,
    events: Sightings<Event>,
    /// When the last pause takes effect, while it goes on.
    paused: Option<Moment>,
}

impl Helmsman {
    /// Reads a client's command and answers it.
    async fn serve(&mut self, mut stream: UnixStream) -> io::Result<()> {
        let mut line = Vec::with_capacity(LONGEST);
        let mut reading = (&mut stream).take(LONGEST as u64);
        while !line.contains(&b'\n') && reading.read_buf(&mut line).await? > 0 {}
        // What has no end may be the beginning of something else.
        let whole = line.iter().position(|byte| *byte == b'\n').map(|end| str::from_utf8(&line[..end]));
        let answer = match whole {
            Some(Ok(command)) => self.obey(command),
            Some(Err(_)) => Err("the command is not UTF-8".to_owned()),
            None if line.len() >= LONGEST => Err("the command is too long".to_owned()),
            None => Err("the command is not a whole line: end it with a newline".to_owned()),
        };
        let (word, said) = match &answer {
            Ok(said) => ("ok", said),
            Err(why) => ("error", why),
        };
        stream.write_all(format!("{word} {said}\n").as_bytes()).await?;
        stream.shutdown().await
    }

    fn obey(&mut self, command: &str) -> Result<String, String> {
        let act = match command.parse()? {
            Command::Status => {
                return self
                    .steering
                    .course()
                    .map(|course| self.status(&course))
                    .ok_or_else(|| "the run has not begun".to_owned());
            }
            Command::Act(act) => act,
        };
        let Change { at, act } = self.steering.change(act).map_err(|why| format!("failed to {why}"))?;
        let (event, what) = match act {
            Act::Rate(rate) => {
                (Event::at(at, EventKind::RateSet, rate.get()), format!("goes on at {}", humane_rate(rate.get())))
            }
            Act::Pause => (Event::at(at, EventKind::Paused, 0.0), "is paused".to_owned()),
            Act::Resume => (Event::at(at, EventKind::Resumed, 0.0), "is resumed".to_owned()),
            Act::Stop => (Event::at(at, EventKind::StopAsked, 0.0), "ends".to_owned()),
        };
        // A pause lasts until something else is due.
        if let Some(begun) = self.paused.take() {
            self.events.note(Event { at: begun, until: at, kind: EventKind::Paused, figure: 0.0 });
        }
        self.paused = (act == Act::Pause).then_some(at);
        self.events.note(event);
        let said = format!("the run {what} from {} on", humane_duration(at.since(Moment::ZERO)));
        tracing::info!("{said}, as its control socket was told");
        Ok(said)
    }

    /// While a pause goes on, it is so long as it was until now.
    fn go_on(&self) {
        let Some((begun, course)) = self.paused.zip(self.steering.course()) else { return };
        let until = course.now.min(course.end);
        if until > begun {
            self.events.note(Event { at: begun, until, kind: EventKind::Paused, figure: 0.0 });
        }
    }

    fn status(&self, course: &Course) -> String {
        let Course { now, rate, paused, end, latest_end, changes } = *course;
        let long = |moment: Moment| humane_duration(moment.since(Moment::ZERO));
        let state = match paused {
            Some(since) => format!("paused since {}", long(since)),
            None if now >= latest_end => "over".to_owned(),
            None => "running".to_owned(),
        };
        // Of a run that ends by a count nobody knows when, while nothing is due.
        let end = if is_known(end) { long(end) } else { "open".to_owned() };
        let (run, rate) = (&self.run_id, humane_rate(rate));
        format!("run {run}\nstate {state}\nat {}\nrate {rate}\nend {end}\nchanges {changes}", long(now))
    }
}
