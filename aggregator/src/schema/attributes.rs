//! Attributes: every OCSF path that an event can carry, with its kind and the classes that carry it.
//!
//! The order of the table is the order of columns and of JSON keys; what stands inside one object or one
//! list stands together (a test holds this).

use super::classes::set::{ACCOUNT, ALL, AUTH, GROUP, HTTP, JOB, LOG, PROCESS, SSH};

/// What values an attribute takes, and so which column type it gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text (UTF-8).
    Text,
    /// OCSF `integer_t`: 32 bits.
    Integer,
    /// OCSF `long_t`, `timestamp_t`: 64 bits. Times are milliseconds since the Unix epoch.
    Long,
    /// A truth value.
    Bool,
    /// A floating-point number.
    Float,
}

macro_rules! attributes {
    ($($name:ident $path:literal $kind:ident $classes:expr;)*) => {
        /// An OCSF attribute, named by its path; `[]` marks the list that it stands in (at most one a path).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "each variant is its path in camel case")]
        pub enum Attribute { $($name,)* }

        impl Attribute {
            /// Every attribute, in order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The OCSF path, e.g. `src_endpoint.ip` or `observables[].value`.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// What values it takes.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// The classes that carry it, as a set of bits.
            pub(super) const fn classes(self) -> u16 {
                match self { $(Self::$name => $classes,)* }
            }

            /// The attribute with this path.
            #[must_use]
            pub fn from_path(path: &str) -> Option<Self> {
                match path { $($path => Some(Self::$name),)* _ => None }
            }
        }
    };
}

attributes! {
    ActivityName "activity_name" Text ALL;
    Message "message" Text ALL;
    Status "status" Text ALL;
    StatusId "status_id" Integer ALL;
    StatusCode "status_code" Text ALL;
    StatusDetail "status_detail" Text ALL;
    Count "count" Integer ALL;
    StartTime "start_time" Long ALL;
    EndTime "end_time" Long ALL;
    TimezoneOffset "timezone_offset" Integer ALL;

    MetadataVersion "metadata.version" Text ALL;
    MetadataProductName "metadata.product.name" Text ALL;
    MetadataProductVendorName "metadata.product.vendor_name" Text ALL;
    MetadataProductVersion "metadata.product.version" Text ALL;
    MetadataProductFeatureName "metadata.product.feature.name" Text ALL;
    MetadataProfiles "metadata.profiles[]" Text ALL;
    MetadataLogName "metadata.log_name" Text ALL;
    MetadataLogProvider "metadata.log_provider" Text ALL;
    MetadataLogSource "metadata.log_source" Text ALL;
    MetadataLogFormat "metadata.log_format" Text ALL;
    MetadataSource "metadata.source" Text ALL;
    MetadataLogLevel "metadata.log_level" Text ALL;
    MetadataEventCode "metadata.event_code" Text ALL;
    MetadataCorrelationUid "metadata.correlation_uid" Text ALL;
    MetadataTenantUid "metadata.tenant_uid" Text ALL;
    MetadataSequence "metadata.sequence" Long ALL;
    MetadataOriginalTime "metadata.original_time" Text ALL;
    MetadataLoggedTime "metadata.logged_time" Long ALL;
    MetadataProcessedTime "metadata.processed_time" Long ALL;
    MetadataIsTruncated "metadata.is_truncated" Bool ALL;
    MetadataUntruncatedSize "metadata.untruncated_size" Long ALL;

    DeviceUid "device.uid" Text ALL;
    DeviceHostname "device.hostname" Text ALL;
    DeviceTypeId "device.type_id" Integer ALL;
    DeviceZone "device.zone" Text ALL;
    DeviceBootUid "device.boot_uid" Text ALL;
    DeviceOsName "device.os.name" Text ALL;
    DeviceOsTypeId "device.os.type_id" Integer ALL;
    DeviceContainerUid "device.container.uid" Text ALL;
    DeviceContainerName "device.container.name" Text ALL;

    ActorProcessName "actor.process.name" Text ALL;
    ActorProcessPid "actor.process.pid" Integer ALL;
    ActorSessionTerminal "actor.session.terminal" Text ALL;
    ActorUserName "actor.user.name" Text ALL;
    ActorUserUid "actor.user.uid" Text ALL;

    UserName "user.name" Text ACCOUNT | AUTH | GROUP;
    UserUid "user.uid" Text ACCOUNT | AUTH | GROUP;
    UserTypeId "user.type_id" Integer ACCOUNT | AUTH | GROUP;
    UserGroupsUid "user.groups[].uid" Text ACCOUNT | AUTH | GROUP;
    GroupName "group.name" Text GROUP;
    GroupUid "group.uid" Text GROUP;

    SrcEndpointIp "src_endpoint.ip" Text ACCOUNT | AUTH | GROUP | HTTP | SSH | LOG;
    SrcEndpointHostname "src_endpoint.hostname" Text ACCOUNT | AUTH | GROUP | HTTP | SSH | LOG;
    SrcEndpointPort "src_endpoint.port" Integer ACCOUNT | AUTH | GROUP | HTTP | SSH | LOG;
    DstEndpointIp "dst_endpoint.ip" Text AUTH | HTTP | SSH | LOG;
    DstEndpointHostname "dst_endpoint.hostname" Text AUTH | HTTP | SSH | LOG;
    DstEndpointPort "dst_endpoint.port" Integer AUTH | HTTP | SSH | LOG;

    ServiceName "service.name" Text AUTH;
    SessionUid "session.uid" Text AUTH;
    SessionTerminal "session.terminal" Text AUTH;
    IsRemote "is_remote" Bool AUTH;
    LogonTypeId "logon_type_id" Integer AUTH;
    AuthProtocol "auth_protocol" Text AUTH;
    AuthProtocolId "auth_protocol_id" Integer AUTH;
    AuthFactorsFactorTypeId "auth_factors[].factor_type_id" Integer AUTH;
    AccountSwitchTypeId "account_switch_type_id" Integer AUTH;

    ProcessUid "process.uid" Text PROCESS;
    ProcessName "process.name" Text PROCESS;
    ProcessCmdLine "process.cmd_line" Text PROCESS;
    ProcessWorkingDirectory "process.working_directory" Text PROCESS;
    ProcessFileName "process.file.name" Text PROCESS;
    ProcessFilePath "process.file.path" Text PROCESS;
    ProcessFileTypeId "process.file.type_id" Integer PROCESS;
    ProcessUserName "process.user.name" Text PROCESS;
    ProcessGroupName "process.user.groups[].name" Text PROCESS;
    LaunchTypeId "launch_type_id" Integer PROCESS;

    JobName "job.name" Text JOB;
    JobCmdLine "job.cmd_line" Text JOB;
    JobUserName "job.user.name" Text JOB;

    HttpRequestMethod "http_request.http_method" Text HTTP;
    HttpRequestUrlString "http_request.url.url_string" Text HTTP;
    HttpRequestUrlScheme "http_request.url.scheme" Text HTTP;
    HttpRequestUrlHostname "http_request.url.hostname" Text HTTP;
    HttpRequestUrlPath "http_request.url.path" Text HTTP;
    HttpRequestUrlQueryString "http_request.url.query_string" Text HTTP;
    HttpRequestVersion "http_request.version" Text HTTP;
    HttpRequestReferrer "http_request.referrer" Text HTTP;
    HttpRequestUserAgent "http_request.user_agent" Text HTTP;
    HttpResponseCode "http_response.code" Integer HTTP;
    HttpResponseBodyLength "http_response.body_length" Long HTTP;
    TrafficBytesOut "traffic.bytes_out" Long HTTP;

    LogName "log_name" Text LOG;
    LogProvider "log_provider" Text LOG;

    ObservablesName "observables[].name" Text ALL;
    ObservablesTypeId "observables[].type_id" Integer ALL;
    ObservablesValue "observables[].value" Text ALL;
    RawData "raw_data" Text ALL;
    RawDataSize "raw_data_size" Long ALL;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn attributes_of_one_object_stand_together() {
        let mut closed = HashSet::new();
        let mut open: Vec<String> = Vec::new();
        for attribute in Attribute::ALL {
            let segments: Vec<&str> = attribute.path().split('.').collect();
            let parents: Vec<String> = (1..segments.len()).map(|n| segments[..n].join(".")).collect();
            for left in open.iter().filter(|prefix| !parents.contains(prefix)) {
                closed.insert(left.clone());
            }
            for parent in &parents {
                assert!(!closed.contains(parent), "{parent} is split at {}", attribute.path());
            }
            open = parents;
        }
    }

    #[test]
    fn paths_are_unique_and_lead_back() {
        for &attribute in Attribute::ALL {
            assert_eq!(Attribute::from_path(attribute.path()), Some(attribute));
            assert!(attribute.path().matches("[]").count() <= 1, "{}", attribute.path());
        }
        assert_eq!(Attribute::from_path("user.shoe_size"), None);
    }
}
