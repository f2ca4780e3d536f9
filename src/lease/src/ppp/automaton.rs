//! The option negotiation automaton of RFC 1661 §4.1, as the RFC's own table: (state, event) → (actions, state).
//!
//! In:  a state and an event. Out: what to do, in order, and the next state.
//!
//! Pure. The rows are the RFC's, in its order, and so are the columns. A pair that the RFC marks `-` cannot happen with a correct
//! caller; it does nothing and changes nothing. The options p, r (passive, restart) are not used.
//!
//! Not here: counters, timers and packets (`layer.rs`), options (`lcp.rs`, `ipcp.rs`, `ipv6cp.rs`).

/// Where a protocol is. Source: RFC 1661 §4.2; the numbers are those of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// 0: the layer below is down, and nobody wants this one.
    Initial,
    /// 1: it is wanted, and the layer below is down.
    Starting,
    /// 2: the layer below is up, and nobody wants this one.
    Closed,
    /// 3: it was wanted and came to its end.
    Stopped,
    /// 4: we asked to end.
    Closing,
    /// 5: it ends, and we still want it.
    Stopping,
    /// 6: we asked; nothing is settled.
    ReqSent,
    /// 7: the peer agrees to ours.
    AckRcvd,
    /// 8: we agree to the peer's.
    AckSent,
    /// 9: both agree.
    Opened,
}

/// What happens to it. Source: RFC 1661 §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The layer below is up.
    Up,
    /// It is down.
    Down,
    /// It is wanted.
    Open,
    /// It is not wanted any more.
    Close,
    /// TO+: the restart timer, with tries left.
    Timeout,
    /// TO-: the restart timer, and no try is left.
    Exhausted,
    /// RCR+: a request that we agree to.
    GoodRequest,
    /// RCR-: a request that we do not agree to.
    BadRequest,
    /// RCA: the peer agrees to our request.
    Ack,
    /// RCN: the peer does not.
    Nak,
    /// RTR: the peer asks to end.
    TerminateRequest,
    /// RTA: the peer has ended.
    TerminateAck,
    /// RUC: a code that we do not know.
    UnknownCode,
    /// RXJ+: a rejection that does no harm.
    HarmlessReject,
    /// RXJ-: a rejection without which we cannot go on.
    FatalReject,
    /// RXR: an echo request, an echo reply or a discard request.
    Echo,
}

/// What follows. Source: RFC 1661 §4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// tlu: this layer is up.
    Up,
    /// tld: this layer is down.
    Down,
    /// tls: the layer below is needed.
    Started,
    /// tlf: the layer below is needed no longer.
    Finished,
    /// irc: the tries of what is sent next are counted anew.
    InitCount,
    /// zrc: no try is left; one period of the timer goes by.
    ZeroCount,
    /// scr: send our request.
    Request,
    /// sca: agree.
    Ack,
    /// scn: do not agree.
    Nak,
    /// str: ask to end.
    Terminate,
    /// sta: we have ended.
    TerminateAck,
    /// scj: reject the code.
    RejectCode,
    /// ser: answer an echo.
    EchoReply,
}

/// A cell of the table.
type Cell = (&'static [Act], State);

/// What follows `event` in `state`: what to do, in this order, and the state after it.
#[must_use]
pub fn next(state: State, event: Event) -> Cell {
    let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] = row(event);
    let cell = match state {
        State::Initial => c0,
        State::Starting => c1,
        State::Closed => c2,
        State::Stopped => c3,
        State::Closing => c4,
        State::Stopping => c5,
        State::ReqSent => c6,
        State::AckRcvd => c7,
        State::AckSent => c8,
        State::Opened => c9,
    };
    cell.unwrap_or((&[], state))
}

/// A row: a cell for each state from 0 to 9, as the RFC prints it.
#[rustfmt::skip] // A row of the RFC is a row here.
const fn row(event: Event) -> [Option<Cell>; 10] {
    use Act::{Ack, Down as TLD, EchoReply, Finished as TLF, InitCount as IRC, Nak, Request as SCR, RejectCode as SCJ};
    use Act::{Started as TLS, Terminate as STR, TerminateAck as STA, Up as TLU, ZeroCount as ZRC};
    const NO: Option<Cell> = None;
    const S0: State = State::Initial;
    const S1: State = State::Starting;
    const S2: State = State::Closed;
    const S3: State = State::Stopped;
    const S4: State = State::Closing;
    const S5: State = State::Stopping;
    const S6: State = State::ReqSent;
    const S7: State = State::AckRcvd;
    const S8: State = State::AckSent;
    const S9: State = State::Opened;
    const fn to(acts: &'static [Act], state: State) -> Option<Cell> { Some((acts, state)) }
    match event {
        Event::Up => [to(&[], S2), to(&[IRC, SCR], S6), NO, NO, NO, NO, NO, NO, NO, NO],
        Event::Down => [NO, NO, to(&[], S0), to(&[TLS], S1), to(&[], S0), to(&[], S1), to(&[], S1), to(&[], S1), to(&[], S1), to(&[TLD], S1)],
        Event::Open => [to(&[TLS], S1), to(&[], S1), to(&[IRC, SCR], S6), to(&[], S3), to(&[], S5), to(&[], S5), to(&[], S6), to(&[], S7), to(&[], S8), to(&[], S9)],
        Event::Close => [to(&[], S0), to(&[TLF], S0), to(&[], S2), to(&[], S2), to(&[], S4), to(&[], S4), to(&[IRC, STR], S4), to(&[IRC, STR], S4), to(&[IRC, STR], S4), to(&[TLD, IRC, STR], S4)],
        Event::Timeout => [NO, NO, NO, NO, to(&[STR], S4), to(&[STR], S5), to(&[SCR], S6), to(&[SCR], S6), to(&[SCR], S8), NO],
        Event::Exhausted => [NO, NO, NO, NO, to(&[TLF], S2), to(&[TLF], S3), to(&[TLF], S3), to(&[TLF], S3), to(&[TLF], S3), NO],
        Event::GoodRequest => [NO, NO, to(&[STA], S2), to(&[IRC, SCR, Ack], S8), to(&[], S4), to(&[], S5), to(&[Ack], S8), to(&[Ack, TLU], S9), to(&[Ack], S8), to(&[TLD, SCR, Ack], S8)],
        Event::BadRequest => [NO, NO, to(&[STA], S2), to(&[IRC, SCR, Nak], S6), to(&[], S4), to(&[], S5), to(&[Nak], S6), to(&[Nak], S7), to(&[Nak], S6), to(&[TLD, SCR, Nak], S6)],
        Event::Ack => [NO, NO, to(&[STA], S2), to(&[STA], S3), to(&[], S4), to(&[], S5), to(&[IRC], S7), to(&[SCR], S6), to(&[IRC, TLU], S9), to(&[TLD, SCR], S6)],
        Event::Nak => [NO, NO, to(&[STA], S2), to(&[STA], S3), to(&[], S4), to(&[], S5), to(&[IRC, SCR], S6), to(&[SCR], S6), to(&[IRC, SCR], S8), to(&[TLD, SCR], S6)],
        Event::TerminateRequest => [NO, NO, to(&[STA], S2), to(&[STA], S3), to(&[STA], S4), to(&[STA], S5), to(&[STA], S6), to(&[STA], S6), to(&[STA], S6), to(&[TLD, ZRC, STA], S5)],
        Event::TerminateAck => [NO, NO, to(&[], S2), to(&[], S3), to(&[TLF], S2), to(&[TLF], S3), to(&[], S6), to(&[], S6), to(&[], S8), to(&[TLD, SCR], S6)],
        Event::UnknownCode => [NO, NO, to(&[SCJ], S2), to(&[SCJ], S3), to(&[SCJ], S4), to(&[SCJ], S5), to(&[SCJ], S6), to(&[SCJ], S7), to(&[SCJ], S8), to(&[SCJ], S9)],
        Event::HarmlessReject => [NO, NO, to(&[], S2), to(&[], S3), to(&[], S4), to(&[], S5), to(&[], S6), to(&[], S6), to(&[], S8), to(&[], S9)],
        Event::FatalReject => [NO, NO, to(&[TLF], S2), to(&[TLF], S3), to(&[TLF], S2), to(&[TLF], S3), to(&[TLF], S3), to(&[TLF], S3), to(&[TLF], S3), to(&[TLD, IRC, STR], S5)],
        Event::Echo => [NO, NO, to(&[], S2), to(&[], S3), to(&[], S4), to(&[], S5), to(&[], S6), to(&[], S7), to(&[], S8), to(&[EchoReply], S9)],
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Event, State, next};

    const STATES: [State; 10] = [
        State::Initial,
        State::Starting,
        State::Closed,
        State::Stopped,
        State::Closing,
        State::Stopping,
        State::ReqSent,
        State::AckRcvd,
        State::AckSent,
        State::Opened,
    ];
    const EVENTS: [Event; 16] = [
        Event::Up,
        Event::Down,
        Event::Open,
        Event::Close,
        Event::Timeout,
        Event::Exhausted,
        Event::GoodRequest,
        Event::BadRequest,
        Event::Ack,
        Event::Nak,
        Event::TerminateRequest,
        Event::TerminateAck,
        Event::UnknownCode,
        Event::HarmlessReject,
        Event::FatalReject,
        Event::Echo,
    ];

    /// What holds for every pair, whatever the table says.
    #[test]
    fn up_is_said_on_the_way_in_and_down_on_the_way_out() {
        for state in STATES {
            for event in EVENTS {
                let (acts, after) = next(state, event);
                let came = state != State::Opened && after == State::Opened;
                assert_eq!(acts.contains(&Act::Up), came, "{state:?} {event:?}");
                let went = state == State::Opened && after != State::Opened;
                assert_eq!(acts.contains(&Act::Down), went, "{state:?} {event:?}");
                let ends = [State::Initial, State::Closed, State::Stopped].contains(&after);
                assert!(!acts.contains(&Act::Finished) || ends, "{state:?} {event:?}");
                assert!(!acts.contains(&Act::Ack) || event == Event::GoodRequest, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn two_of_them_agree() {
        // what happens, the state after it
        let table = [
            (Event::Open, State::Starting),
            (Event::Up, State::ReqSent),
            (Event::BadRequest, State::ReqSent),
            (Event::Ack, State::AckRcvd),
            (Event::GoodRequest, State::Opened),
            (Event::Echo, State::Opened),
            (Event::TerminateRequest, State::Stopping),
            (Event::Exhausted, State::Stopped),
            (Event::GoodRequest, State::AckSent),
            (Event::Nak, State::AckSent),
            (Event::Ack, State::Opened),
            (Event::Close, State::Closing),
            (Event::TerminateAck, State::Closed),
            (Event::Down, State::Initial),
        ];
        let mut state = State::Initial;
        for (event, wanted) in table {
            state = next(state, event).1;
            assert_eq!(state, wanted, "{event:?}");
        }
    }
}
