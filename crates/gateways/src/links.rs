//! Links into shared drives work as long as their makers may change what is in there.

use apps::drive::Link;
use apps::{AccountError, Accounts, DriveRole, SharedDrive};

/// The same links, each knowing whether its maker still may. In one's own drive all do.
pub(crate) async fn judged(
    accounts: &Accounts,
    shared: Option<&SharedDrive>,
    mut links: Vec<Link>,
) -> Result<Vec<Link>, AccountError> {
    if let Some(shared) = shared.filter(|_| !links.is_empty()) {
        let makers = links.iter().map(|link| link.by).collect();
        let may = accounts.who_may(shared.id, makers, DriveRole::Edit).await?;
        for link in &mut links {
            link.stopped = !may.contains(&link.by);
        }
    }
    Ok(links)
}
