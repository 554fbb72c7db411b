//! Activities of the classes that a user's parser may have, by the captions of OCSF 1.8.0; the number is the place.

use shared::yaml::rule;

use crate::schema::Class;

/// `activity_id` 99: it is named beside it.
pub(super) const OTHER: u8 = 99;

/// The captions of a class's activities, from 1; an empty one is no activity. None for classes that tell what an agent
/// collects.
#[rustfmt::skip]
pub(super) fn of(class: Class) -> Option<&'static [&'static str]> {
    Some(match class {
        Class::BaseEvent => &[],
        Class::FileActivity => &["Create", "Read", "Update", "Delete", "Rename", "Set Attributes", "Set Security", "Get Attributes", "Get Security", "Encrypt", "Decrypt", "Mount", "Unmount", "Open"],
        Class::KernelExtensionActivity => &["Load", "Unload"],
        Class::KernelActivity => &["Create", "Read", "Delete", "Invoke"],
        Class::ScheduledJobActivity => &["Create", "Update", "Delete", "Enable", "Disable", "Start"],
        Class::ProcessActivity => &["Launch", "Terminate", "Open", "Inject", "Set User ID"],
        Class::EventLogActivity => &["Clear", "Delete", "Export", "Archive", "Rotate", "Start", "Stop", "Restart", "Enable", "Disable"],
        Class::PeripheralActivity => &["Connect", "Disconnect", "Enable", "Disable", "Eject"],
        Class::DetectionFinding => &["Create", "Update", "Close"],
        Class::AccountChange => &["Create", "Enable", "Password Change", "Password Reset", "Disable", "Delete", "Attach Policy", "Detach Policy", "Lock", "MFA Factor Enable", "MFA Factor Disable", "Unlock"],
        Class::Authentication => &["Logon", "Logoff", "Authentication Ticket", "Service Ticket Request", "Service Ticket Renew", "Preauth", "Account Switch"],
        Class::GroupManagement => &["Assign Privileges", "Revoke Privileges", "Add User", "Remove User", "Delete", "Create", "Add Subgroup", "Remove Subgroup"],
        Class::NetworkActivity | Class::SshActivity => &["Open", "Close", "Reset", "Fail", "Refuse", "Traffic", "Listen"],
        Class::HttpActivity => &["Connect", "Delete", "Get", "Head", "Options", "Post", "Put", "Trace", "Patch"],
        Class::DnsActivity => &["Query", "Response", "", "", "", "Traffic"],
        Class::DhcpActivity => &["Discover", "Offer", "Request", "Decline", "Ack", "Nak", "Release", "Inform", "Expire"],
        Class::RdpActivity => &["Initial Request", "Initial Response", "Connect Request", "Connect Response", "TLS Handshake", "Traffic", "Disconnect", "Reconnect"],
        Class::SmbActivity => &["File Supersede", "File Open", "File Create", "File Open If", "File Overwrite", "File Overwrite If"],
        Class::FtpActivity => &["Put", "Get", "Poll", "Delete", "Rename", "List"],
        Class::EmailActivity => &["Send", "Receive", "Scan", "Trace", "MTA Relay"],
        Class::NtpActivity => &["Symmetric Active Exchange", "Symmetric Passive Response", "Client Synchronization", "Server Response", "Broadcast", "Control", "Private Use Case"],
        Class::TunnelActivity => &["Open", "Close", "Renew"],
        Class::ApplicationLifecycle => &["Install", "Remove", "Start", "Stop", "Restart", "Enable", "Disable", "Update"],
        Class::DatastoreActivity => &["Read", "Update", "Connect", "Query", "Write", "Create", "Delete", "List", "Encrypt", "Decrypt"],
        Class::ApiActivity => &["Create", "Read", "Update", "Delete"],
        Class::ApplicationError => &["General Error", "Translation Error"],
        Class::InventoryInfo | Class::UserInventory | Class::PatchState | Class::DeviceConfigStateChange | Class::SoftwareInfo | Class::EvidenceInfo => return None,
    })
}

/// The number of an activity, given as that or by its caption.
pub(super) fn number(class: Class, text: &str) -> Result<u8, String> {
    let captions = of(class).unwrap_or_default();
    if let Ok(number) = text.parse::<u8>() {
        let known =
            number.checked_sub(1).and_then(|at| captions.get(usize::from(at))).is_some_and(|name| !name.is_empty());
        return if known || matches!(number, 0 | OTHER) {
            Ok(number)
        } else {
            Err(format!("class {} has no activity {number}", class.name()))
        };
    }
    let place = captions.iter().position(|caption| caption.eq_ignore_ascii_case(text) && !caption.is_empty());
    let number = place.and_then(|at| u8::try_from(at + 1).ok());
    number.ok_or_else(|| {
        format!("activity {}", rule::unknown_word(text, captions.iter().copied().filter(|c| !c.is_empty())))
    })
}

/// A class that a user's parser may have, by name or number.
pub(super) fn class(text: &str) -> Result<Class, String> {
    let named = |class: &Class| class.name() == text || text.parse() == Ok(class.uid());
    match Class::ALL.into_iter().find(named) {
        Some(class) if of(class).is_some() => Ok(class),
        Some(class) => Err(format!("class {} is what agents collect, not what lines say", class.name())),
        None => {
            let names: Vec<&str> =
                Class::ALL.into_iter().filter(|class| of(*class).is_some()).map(Class::name).collect();
            Err(format!("class {}", rule::unknown_word(text, names)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_activities_have_names_and_numbers() {
        assert_eq!(class("authentication"), Ok(Class::Authentication));
        assert_eq!(class("3002"), Ok(Class::Authentication));
        assert_eq!(number(Class::Authentication, "logon"), Ok(1));
        assert_eq!(number(Class::DnsActivity, "6"), Ok(6));
        assert_eq!(number(Class::DnsActivity, "99"), Ok(OTHER));
        assert!(number(Class::DnsActivity, "3").unwrap_err().contains("has no activity 3"));
        assert!(number(Class::Authentication, "Logn").unwrap_err().contains("did you mean 'Logon'?"));
        assert!(class("authentification").unwrap_err().contains("did you mean 'authentication'?"));
        assert!(class("software_info").unwrap_err().contains("agents collect"));
    }
}
