//! Enrollment and renewal: a request in, a certificate or a refusal out.
//!
//! In: messages of [`shared::enroll`], the [`Peer`] of a session, `now`. Out: [`Reply`]. It writes and syncs files:
//! call it where blocking is allowed. The order of an enrollment is what makes it safe to repeat:
//!
//! 1. the request's signature is checked: a bad one takes no use of the token;
//! 2. a use of the token is taken for the request's key, with the agent id in it, and synced (`token.claim`);
//! 3. the certificate is signed;
//! 4. the roster has it, synced (`roster.append`, `roster.written`, `roster.synced`);
//! 5. the reply goes out. Whoever lost it asks again with the same key and gets the same id.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::enroll::{
    BadToken, Der, EnrollRequest, Issued, Refused, RefusedCode, RenewRequest, Reply, Token, TrustBundle,
    claimed_hostname,
};
use shared::identity::AgentId;
use shared::time::Timestamp;
use shared::tls::{CertificateError, KeyHash, Peer, request_key};

use super::roster::{Change, Given, Revocation, Roster, RosterError};
use super::token::{ClaimError, Tokens};
use super::{Authority, CaError, Leaf, new_id};
use crate::directory::Directory;

/// Most certificates that one agent gets in a day: each is a line in the roster for ever.
pub const CERTIFICATES_PER_DAY_MAX: u32 = 24;

/// Why no certificate was given.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The text is no token.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// The request is damaged, of another key, or of a kind that we do not sign.
    #[error("{0}: make the request again with `picket-agent enroll`")]
    Request(#[from] CertificateError),
    /// The token does not let it in.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The agent is revoked.
    #[error("agent {0} is revoked: if that was a mistake, enroll the host again with a new token")]
    Revoked(AgentId),
    /// The agent asks again and again.
    #[error(
        "agent {0} got {CERTIFICATES_PER_DAY_MAX} certificates today: it gets no more before tomorrow, see its log"
    )]
    TooOften(AgentId),
    /// The roster cannot take it.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The certificate cannot be made.
    #[error(transparent)]
    Ca(#[from] CaError),
}

impl EnrollError {
    /// What goes to the agent. What is wrong with this machine's files is for this machine's log.
    fn refused(&self) -> Refused {
        let code = match self {
            Self::BadToken(_) => RefusedCode::Token,
            Self::Claim(ClaimError::Store(_)) | Self::Roster(_) | Self::Ca(_) => RefusedCode::Unavailable,
            Self::Claim(_) => RefusedCode::Token,
            Self::Revoked(_) => RefusedCode::Revoked,
            Self::Request(_) | Self::TooOften(_) => RefusedCode::Final,
        };
        let message = if code == RefusedCode::Unavailable {
            "the aggregator cannot give certificates at the moment: its log says why, try again later".to_owned()
        } else {
            self.to_string()
        };
        Refused { code, message }
    }
}

/// Gives certificates. Shared by the enrollment handler, the sessions and the admin socket.
#[derive(Debug)]
pub struct Enrollment {
    authority: Authority,
    tokens: Tokens,
    roster: Mutex<Roster>,
    directory: Directory,
}

impl Enrollment {
    /// With these files, all of one state folder.
    #[must_use]
    pub fn new(authority: Authority, tokens: Tokens, roster: Roster) -> Self {
        let directory = Directory::default();
        roster.book().agents().for_each(|entry| directory.enter(entry.agent, &entry.facts));
        Self { authority, tokens, roster: Mutex::new(roster), directory }
    }

    /// What is known of the hosts, also of those that enroll later.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The roster, for as long as the guard lives.
    pub fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers `picket-enroll/1`. The error, when there is one, is for this machine's log; its text says all.
    pub fn enroll(&self, request: &EnrollRequest, now: Timestamp) -> (Reply, Option<EnrollError>) {
        answer(self.try_enroll(request, now))
    }

    /// Answers a renewal in the session of `peer`, whatever its standing.
    pub fn renew(&self, peer: &Peer, request: &RenewRequest, now: Timestamp) -> (Reply, Option<EnrollError>) {
        answer(self.try_renew(peer.agent, request, now))
    }

    /// Revokes an agent by id or hostname, for the admin socket: no handshake lets it in from here on. Its open
    /// sessions are the caller's to end.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn revoke(&self, who: &str, reason: &str, now: Timestamp) -> Result<(AgentId, Revocation), RosterError> {
        let mut roster = self.roster();
        let agent = roster.book().find(who)?;
        Ok((agent, roster.revoke(agent, reason, now)?))
    }

    /// What every session is told at its start.
    #[must_use]
    pub fn trust_bundle(&self, now: Timestamp) -> TrustBundle {
        TrustBundle { authorities: self.authorities(), time: now }
    }

    fn try_enroll(&self, request: &EnrollRequest, now: Timestamp) -> Result<Issued, EnrollError> {
        let token: Token = request.token.parse()?;
        let public_key = request_key(&request.csr.0)?;
        let mut roster = self.roster();
        let proposed = new_id(now)?;
        roster.check_room(proposed)?;
        let claim = self.tokens.claim(&token, KeyHash::of(&public_key), proposed, now)?;
        check(&roster, claim.agent, now)?;
        let leaf = self.authority.issue_agent(claim.agent, &public_key, now)?;
        let (agent, given) = (claim.agent, given(&leaf));
        let change = if roster.book().agent(agent).is_some() {
            Change::Renewed { agent, at: now, given }
        } else {
            let hostname = claimed_hostname(&request.hostname);
            Change::Enrolled { agent, at: now, hostname, facts: claim.facts, token: token.id, given }
        };
        roster.record(change)?;
        if let Some(entry) = roster.book().agent(agent) {
            self.directory.enter(agent, &entry.facts);
        }
        Ok(self.issued(agent, leaf, now))
    }

    fn try_renew(&self, agent: AgentId, request: &RenewRequest, now: Timestamp) -> Result<Issued, EnrollError> {
        let public_key = request_key(&request.csr.0)?;
        let mut roster = self.roster();
        check(&roster, agent, now)?;
        roster.check_room(agent)?;
        let leaf = self.authority.issue_agent(agent, &public_key, now)?;
        roster.record(Change::Renewed { agent, at: now, given: given(&leaf) })?;
        Ok(self.issued(agent, leaf, now))
    }

    fn issued(&self, agent: AgentId, leaf: Leaf, now: Timestamp) -> Issued {
        Issued { agent, certificate: Der(leaf.der), authorities: self.authorities(), time: now }
    }

    fn authorities(&self) -> Vec<Der> {
        vec![Der(self.authority.certificate().to_vec())]
    }
}

fn check(roster: &Roster, agent: AgentId, now: Timestamp) -> Result<(), EnrollError> {
    match roster.book().agent(agent) {
        Some(entry) if entry.revoked.is_some() => Err(EnrollError::Revoked(agent)),
        Some(entry) if entry.given_today(now) >= CERTIFICATES_PER_DAY_MAX => Err(EnrollError::TooOften(agent)),
        _ => Ok(()),
    }
}

fn given(leaf: &Leaf) -> Given {
    Given { serial: leaf.certificate.serial, key: leaf.certificate.key, not_after: leaf.certificate.not_after }
}

fn answer(result: Result<Issued, EnrollError>) -> (Reply, Option<EnrollError>) {
    match result {
        Ok(issued) => (Reply::Issued(issued), None),
        Err(error) => (Reply::Refused(error.refused()), Some(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use shared::durable::Writer;
    use shared::tls::{Revocations, Standing};

    use super::*;
    use crate::ca::lock::StateLock;
    use crate::ca::tests::{NOW, folder, request};
    use crate::ca::token::TokenSpec;
    use crate::directory::Facts;

    fn open(dir: &Path, writer: Writer, revocations: &Revocations) -> (Enrollment, Tokens) {
        let authority = Authority::load(dir).unwrap();
        let tokens = Tokens::open(dir, authority.key_hash(), writer).unwrap();
        let lock = StateLock::take(dir, &writer).unwrap();
        let roster = Roster::open(dir, writer, revocations.clone(), &lock).unwrap();
        (Enrollment::new(authority, tokens.clone(), roster), tokens)
    }

    fn fresh(name: &str) -> (PathBuf, Writer) {
        let dir = folder(name);
        let writer = Writer::for_owner_of(&dir).unwrap();
        Authority::generate(NOW).unwrap().store_new(&dir, &writer).unwrap();
        (dir, writer)
    }

    fn spec(uses: u32) -> TokenSpec {
        TokenSpec { facts: Facts::of_group("web"), ttl: Duration::from_secs(3_600), uses }
    }

    fn ask(token: &Token) -> EnrollRequest {
        EnrollRequest { token: token.reveal(), csr: Der(request().1), hostname: "web-1".to_owned() }
    }

    fn issued(reply: (Reply, Option<EnrollError>)) -> Issued {
        match reply {
            (Reply::Issued(issued), None) => issued,
            other => panic!("{other:?}"),
        }
    }

    fn refused(reply: (Reply, Option<EnrollError>)) -> Refused {
        match reply {
            (Reply::Refused(refused), Some(_)) => refused,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bad_request_takes_no_use_of_the_token() {
        let (dir, writer) = fresh("bad-request");
        let (enrollment, tokens) = open(&dir, writer, &Revocations::default());
        let token = tokens.create(&spec(1), NOW).unwrap();
        let mut request = ask(&token);
        request.csr.0.pop();
        request.csr.0.push(0);
        let refused = refused(enrollment.enroll(&request, NOW));
        assert_eq!(refused.code, RefusedCode::Final);
        assert!(refused.message.contains("not signed by its own key"), "{}", refused.message);
        issued(enrollment.enroll(&ask(&token), NOW));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn lost_reply_is_repeated_and_another_key_is_refused() {
        let (dir, writer) = fresh("lost");
        let (enrollment, tokens) = open(&dir, writer, &Revocations::default());
        let token = tokens.create(&spec(1), NOW).unwrap();
        let request = ask(&token);
        let first = issued(enrollment.enroll(&request, NOW));
        let again = issued(enrollment.enroll(&request, NOW.plus(Duration::from_secs(60))));
        assert_eq!(first.agent, again.agent);
        let other = refused(enrollment.enroll(&ask(&token), NOW));
        assert_eq!(other.code, RefusedCode::Token);
        assert!(other.message.contains("used up"), "{}", other.message);
        let (book, _) = Roster::view(&dir).unwrap();
        assert_eq!(book.agents().count(), 1);
        assert_eq!(book.agent(first.agent).unwrap().facts.group.as_deref(), Some("web"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn revoked_agent_gets_nothing_by_renewing_or_repeating() {
        let (dir, writer) = fresh("revoked");
        let revocations = Revocations::default();
        let (enrollment, tokens) = open(&dir, writer, &revocations);
        let request = ask(&tokens.create(&spec(1), NOW).unwrap());
        let agent = issued(enrollment.enroll(&request, NOW)).agent;
        assert_eq!(enrollment.revoke("web-1", "stolen", NOW).unwrap(), (agent, Revocation::Revoked));
        assert_eq!(enrollment.revoke(&agent.to_string(), "again", NOW).unwrap(), (agent, Revocation::Before));
        assert!(revocations.contains(agent));
        let peer = Peer {
            agent,
            serial: shared::tls::Serial::default(),
            not_after: NOW,
            key: KeyHash::default(),
            standing: Standing::Full,
        };
        let renew = RenewRequest { csr: request.csr.clone() };
        assert_eq!(refused(enrollment.renew(&peer, &renew, NOW)).code, RefusedCode::Revoked);
        assert_eq!(refused(enrollment.enroll(&request, NOW)).code, RefusedCode::Revoked);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn renewals_are_bounded_by_day() {
        let (dir, writer) = fresh("often");
        let (enrollment, tokens) = open(&dir, writer, &Revocations::default());
        let request = ask(&tokens.create(&spec(1), NOW).unwrap());
        for _ in 0..CERTIFICATES_PER_DAY_MAX {
            issued(enrollment.enroll(&request, NOW));
        }
        let message = refused(enrollment.enroll(&request, NOW)).message;
        assert!(message.contains("24 certificates today"), "{message}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    thread_local! { static STEPS_LEFT: Cell<u32> = const { Cell::new(0) }; }

    fn crash_when_counted_down(_: &'static str) {
        let left = STEPS_LEFT.get();
        STEPS_LEFT.set(left.saturating_sub(1));
        assert_ne!(left, 1, "crash");
    }

    #[test]
    fn crash_at_any_step_of_an_enrollment_is_healed_by_asking_again() {
        let (dir, writer) = fresh("crash");
        // Three steps of the token's file, three of the roster's.
        for step in 1..=6 {
            let revocations = Revocations::default();
            let (enrollment, tokens) = open(&dir, writer.with_fault(crash_when_counted_down), &revocations);
            let token = tokens.create(&spec(1), NOW).unwrap();
            let request = ask(&token);
            STEPS_LEFT.set(step);
            let crash = std::panic::AssertUnwindSafe(|| enrollment.enroll(&request, NOW));
            assert!(std::panic::catch_unwind(crash).is_err(), "step {step}");
            drop(enrollment);
            let (enrollment, _) = open(&dir, writer, &revocations);
            let agent = issued(enrollment.enroll(&request, NOW)).agent;
            assert!(enrollment.roster().book().agent(agent).is_some());
            assert_eq!(enrollment.roster().book().agents().count(), step as usize, "one agent per request");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
