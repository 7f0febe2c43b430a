use super::*;
use crate::domain::handoff::Heard;
impl Ledger {
    pub async fn conclude_attempt(&self, claimed: &Claimed, heard: &Heard, answer: Option<&[u8]>, used_cached_token: bool) -> Result<Concluded> { let _ = (claimed, heard, answer, used_cached_token); todo!() }
    pub async fn defer_attempt(&self, claimed: &Claimed, until: DateTime<Utc>, why: &str) -> Result<()> { let _ = (claimed, until, why); todo!() }
    pub async fn interrupt_attempt(&self, claimed: &Claimed, error: &str) -> Result<Concluded> { let _ = (claimed, error); todo!() }
}
pub(crate) fn judge_lost() {}
