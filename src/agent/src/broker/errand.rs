//! A controller's request that waits for services.
//!
//! In:  what it was cut into, answers. Out: one answer, once all are there, or given up.

use usp::message::ErrorBody;
use usp::session::WHOLE_BYTES_MAX;
use usp::{Code, Msg};

use super::cut::{Cut, Kind, Piece};
use super::merge::{Reply, merge};
use crate::access::Access;
use crate::peer::Way;
use crate::world::Brought;

/// What one service may add to a path that is above what it brings, in bytes: of all of them together the answer still fits.
const ABOVE_BYTES_MAX: usize = 16 * 1024;

/// A question under way.
#[derive(Debug)]
struct Question {
    /// The number of its message.
    number: String,
    /// The row of the service.
    service: u32,
    /// It is only a part of what was asked for.
    above: bool,
    /// It is answered, or given up.
    over: bool,
    reply: Reply,
}

/// A request.
#[derive(Debug)]
pub struct Errand {
    controller: u32,
    id: String,
    way: Way,
    kind: Kind,
    pieces: Vec<Piece>,
    ours: Option<Msg<'static>>,
    answers: bool,
    /// What the controller calls a command.
    key: String,
    questions: Vec<Question>,
    until_ms: u64,
}

impl Errand {
    /// Of message `id` of a controller; nobody is asked yet.
    #[must_use]
    pub fn new(
        (controller, id, way): (u32, &str, &Way),
        cut: &Cut<'_>,
        ours: Option<Msg<'static>>,
        until_ms: u64,
    ) -> Self {
        Self {
            controller,
            id: id.to_owned(),
            way: way.clone(),
            kind: cut.kind,
            pieces: cut.pieces.clone(),
            ours,
            answers: cut.answers,
            key: String::new(),
            questions: Vec::new(),
            until_ms,
        }
    }

    /// A service is asked with the message `number`.
    pub fn expect(&mut self, (piece, above): (usize, bool), number: &str, brought: &Brought) {
        let service = brought.service.to_string();
        let reply = Reply { piece, service, paths: brought.paths.clone(), message: None };
        let number = number.to_owned();
        self.questions.push(Question { number, service: brought.row, above, over: false, reply });
    }

    /// What the controller calls its command.
    pub fn keep_key(&mut self, key: &str) {
        key.clone_into(&mut self.key);
    }

    /// A command: the row of the service, what that knows it by, what the controller calls it.
    #[must_use]
    pub fn command(&self) -> (u32, &str, &str) {
        let first = self.questions.first();
        let (service, number) = first.map_or((0, ""), |one| (one.service, one.number.as_str()));
        (service, number, &self.key)
    }

    /// The service in `row` has answered message `number`.
    pub fn hear(&mut self, row: u32, number: &str, message: &[u8]) {
        let is = |one: &&mut Question| one.service == row && one.number == number && !one.over;
        if let Some(question) = self.questions.iter_mut().find(is) {
            question.over = true;
            let fits = !question.above || message.len() <= ABOVE_BYTES_MAX;
            question.reply.message = fits.then(|| message.to_vec());
        }
    }

    /// The service in `row` is gone.
    pub fn forget(&mut self, row: u32) {
        let of_it = self.questions.iter_mut().filter(|one| one.service == row);
        of_it.for_each(|one| one.over = true);
    }

    /// Services, by their rows, that have not answered in time.
    #[must_use]
    pub fn late(&self, now_ms: u64) -> Vec<u32> {
        let late = self.questions.iter().filter(|one| !one.over && now_ms >= self.until_ms);
        late.map(|one| one.service).collect()
    }

    /// All have answered, or are given up.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.questions.iter().all(|one| one.over)
    }

    /// When it is given up, in milliseconds after boot; 0: it is whole.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        if self.is_whole() { 0 } else { self.until_ms }
    }

    /// The row of the controller.
    #[must_use]
    pub fn controller(&self) -> u32 {
        self.controller
    }

    /// The number of its message.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How the answer goes back.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// The answer, where one is wanted; and commands that take their time, whose requests have rows from `first` on.
    #[must_use]
    pub fn answer(&self, access: Access<'_>, first: u32) -> (Option<Vec<u8>>, Vec<String>) {
        let replies: Vec<&Reply> = self.questions.iter().map(|one| &one.reply).collect();
        let pieces = (self.kind, self.pieces.as_slice());
        let (message, begun) = merge((&self.id, first), pieces, self.ours.as_ref(), (access, &replies));
        let mut bytes = message.encode();
        if bytes.len() > WHOLE_BYTES_MAX {
            let code = Code::RESOURCES_EXCEEDED;
            let error = ErrorBody {
                err_code: code.number(),
                err_msg: "the answer is too long; ask for less".into(),
                param_errs: Vec::new(),
            };
            bytes = Msg::error(self.id.clone(), error).encode();
        }
        (self.answers.then_some(bytes), begun)
    }
}
