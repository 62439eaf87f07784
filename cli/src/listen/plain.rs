//! A connection of a format in which each frame is a message: no close, no files.

use std::pin::pin;

use tokio::time::sleep;
use unstick::scan::Found;
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{DecodeError, Framing};
use unstick_session::message::Code;

use crate::addr::{Halves, shut_down};
use crate::exchange::{Exchange, next_found, send};
use crate::format::Meta;
use crate::listen::budget::{Account, Held};
use crate::listen::end::End;
use crate::listen::log::Log;
use crate::listen::others::Said;
use crate::listen::places::Stop;
use crate::listen::reply::{Answered, Answers};
use crate::listen::rules::Rules;
use crate::wire::AnyWire;

/// What the loop of a connection does next.
enum Next<M> {
    Said(Result<Said, u64>),
    Answered(Answered),
    Found(Result<Option<Found<M>>, ReadError>),
}

/// Serves a connection until it ends, or the program does. Returns whether it ended without an error.
pub(crate) async fn serve<W: Exchange>(
    rules: &Rules,
    framing: Framing<W>,
    mut log: Log<'_>,
    (incoming, mut outgoing): Halves,
    mut stop: Stop,
) -> bool {
    log.connected().await;
    log.announce(None).await;
    let (incoming, mut account) = rules.budget.open(incoming, log.active().network());
    let mut reader =
        FrameReader::with_framing(incoming, framing).with_frame_timeout(rules.frame_timeout);
    if let Some(after) = rules.idle_timeout {
        reader = reader.with_idle_timeout(after);
    }
    let wire: AnyWire = (*framing.format()).into();
    let mut others = rules.others();
    let mut first = pin!(sleep(rules.first_timeout));
    let mut writer = FrameWriter::with_framing(&mut outgoing, framing);
    let are_lines = matches!(wire, AnyWire::Mark(mark) if mark.has_lines());
    let mut answers = Answers::new(rules, &log, are_lines);
    let mut is_read = false;
    let end = loop {
        if is_read && answers.is_empty() {
            break End::Clean;
        }
        let can_read = !is_read && answers.has_room(account.has_turn());
        let held = Held {
            peer: reader.buf().unread().len(),
            commands: answers.held_len(),
            answer: answers.next_len(),
            ..Held::default()
        };
        account.hold(held, can_read);
        let can_read = can_read && !account.waits();
        let can_answer = !account.must_wait_to_answer();
        let next = tokio::select! {
            biased;
            end = stop.ordered() => break end,
            answered = answers.next(), if can_answer => Next::Answered(answered),
            said = others.next(log.peer()) => Next::Said(said),
            changed = account.changed() => match changed {
                Ok(()) => continue,
                Err(end) => break end,
            },
            found = next_found(&mut reader), if can_read => Next::Found(found),
            () = &mut first, if reader.buf().position() == 0 => break rules.no_first_frame(),
        };
        let found = match next {
            Next::Found(found) => found,
            Next::Said(Ok(Said { meta, payload })) => {
                let sent = send(&mut writer, meta, &payload);
                let sent = in_time(&mut account, held.more(&payload), rules, sent).await;
                if let Err(end) = or_left_out(sent, &mut log).await {
                    break end;
                }
                log.active().touch();
                continue;
            }
            Next::Said(Err(missed)) => {
                log.missed(missed).await;
                continue;
            }
            Next::Answered(Answered { meta, answer, said, .. }) => {
                account.answered();
                for line in said {
                    log.command(&line).await;
                }
                let Some(answer) = answer else { continue };
                let held = Held { commands: answers.held_len(), ..held };
                let sent = send(&mut writer, meta, &answer);
                let sent = in_time(&mut account, held.more(&answer), rules, sent).await;
                if let Err(end) = or_left_out(sent, &mut log).await {
                    break end;
                }
                continue;
            }
        };
        let found = match found {
            Ok(Some(found)) => found,
            // Commands may still have to answer.
            Ok(None) => {
                is_read = true;
                continue;
            }
            Err(ReadError::Decode(
                error @ (DecodeError::Oversize { .. } | DecodeError::TooLong { .. }),
            )) if rules.skip_oversize && reader.buf_mut().skip_frame().is_ok() => {
                log.skipped(&error).await;
                continue;
            }
            Err(error) => break End::read(&error, wire),
        };
        let Some(frame) = reader.buf().frame(&found) else { continue };
        let meta = frame.meta.clone().into_any();
        log.message(found.at(), meta, frame.payload).await;
        rules.say(log.peer(), meta, frame.payload);
        if let Some(answer) = answers.to(meta, frame.payload, framing.limit()) {
            let sent = send(&mut writer, meta, &answer);
            let sent = in_time(&mut account, held.more(&answer).more(&answer), rules, sent).await;
            if let Err(end) = sent {
                break end;
            }
        }
    };
    drop(answers);
    drop(writer);
    log.ended(&end).await;
    let last = shut_down(reader.into_inner().0.into_inner(), outgoing);
    stop.unless_ordered(&end, last).await;
    end.is_clean()
}

/// Waits until this is written. Meanwhile the connection holds `held`.
async fn in_time(
    account: &mut Account,
    held: Held,
    rules: &Rules,
    sent: impl Future<Output = Result<(), WriteError>>,
) -> Result<(), End> {
    account.in_time(held, rules.frame_timeout, sent).await?.map_err(|error| End::write(&error))
}

/// Logs what does not fit into a frame, and is left out. Every other error of a write stays.
async fn or_left_out(sent: Result<(), End>, log: &mut Log<'_>) -> Result<(), End> {
    match sent {
        Err(End::Error { code: Some(Code::OVERSIZE), message, .. }) => {
            log.unanswered(Code::OVERSIZE, &message).await;
            Ok(())
        }
        sent => sent,
    }
}
