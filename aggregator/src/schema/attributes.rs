//! Attributes: every OCSF path that an event can carry, with its kind and the classes that carry it.
//!
//! The order of the table is the order of columns and of JSON keys; what stands inside one object or one
//! list stands together (a test holds this).

use std::collections::HashMap;
use std::sync::LazyLock;

use super::classes::set::{
    ACCOUNT, ALL, API, APP, AUDITED, AUTH, DATASTORE, DHCP, DNS, EMAIL, ENDS, ERROR, EVIDENCE, FILE, FINDING, FTP,
    GROUP, HTTP, INVENTORY, JOB, KERNEL, LOG, MODULE, NET, NETWORK, NTP, PATCH, PERIPHERAL, PROCESS, RDP, SMB,
    SOFTWARE, SSH, TUNNEL, USERS,
};

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
            pub(super) const fn classes(self) -> u64 {
                match self { $(Self::$name => $classes,)* }
            }

        }
    };
}

/// Attributes by path: typed records name each of their fields by it.
static BY_PATH: LazyLock<HashMap<&'static str, Attribute, ahash::RandomState>> =
    LazyLock::new(|| Attribute::ALL.iter().map(|attribute| (attribute.path(), *attribute)).collect());

impl Attribute {
    /// The attribute with this path.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        BY_PATH.get(path).copied()
    }
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
    Duration "duration" Long NET | EMAIL | TUNNEL | DATASTORE;
    ActionId "action_id" Integer ALL;
    DispositionId "disposition_id" Integer ALL;
    IsAlert "is_alert" Bool FINDING;
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
    MetadataLabels "metadata.labels[]" Text ALL;
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
    DeviceGroupName "device.groups[].name" Text ALL;
    DeviceBootUid "device.boot_uid" Text ALL;
    DeviceOsName "device.os.name" Text ALL;
    DeviceOsTypeId "device.os.type_id" Integer ALL;
    DeviceOsEdition "device.os.edition" Text INVENTORY | PATCH;
    DeviceOsVersion "device.os.version" Text INVENTORY | PATCH;
    DeviceOsBuild "device.os.build" Text INVENTORY | PATCH;
    DeviceOsKernelRelease "device.os.kernel_release" Text INVENTORY | PATCH;
    DeviceOsCpeName "device.os.cpe_name" Text INVENTORY | PATCH;
    DeviceContainerUid "device.container.uid" Text ALL;
    DeviceContainerName "device.container.name" Text ALL;
    DeviceOsMachineUuid "device.os_machine_uuid" Text INVENTORY;
    DeviceHypervisor "device.hypervisor" Text INVENTORY;
    DeviceDomain "device.domain" Text INVENTORY;
    DeviceVendorName "device.vendor_name" Text INVENTORY;
    DeviceModel "device.model" Text INVENTORY;
    DeviceBootTime "device.boot_time" Long INVENTORY | PATCH;
    DeviceCpuCount "device.hw_info.cpu_count" Integer INVENTORY;
    DeviceCpuCores "device.hw_info.cpu_cores" Integer INVENTORY;
    DeviceCpuType "device.hw_info.cpu_type" Text INVENTORY;
    DeviceRamSize "device.hw_info.ram_size" Integer INVENTORY;
    DeviceBiosDate "device.hw_info.bios_date" Text INVENTORY;
    DeviceBiosManufacturer "device.hw_info.bios_manufacturer" Text INVENTORY;
    DeviceBiosVer "device.hw_info.bios_ver" Text INVENTORY;
    DeviceInterfaceName "device.network_interfaces[].name" Text INVENTORY;
    DeviceInterfaceMac "device.network_interfaces[].mac" Text INVENTORY;
    DeviceInterfaceIp "device.network_interfaces[].ip" Text INVENTORY;
    DeviceInterfaceSubnetPrefix "device.network_interfaces[].subnet_prefix" Integer INVENTORY;

    ActorAppName "actor.app_name" Text APP | ERROR | FILE | KERNEL | MODULE | PERIPHERAL | PROCESS;
    ActorProcessName "actor.process.name" Text ALL;
    ActorProcessPid "actor.process.pid" Integer ALL;
    ActorProcessUid "actor.process.uid" Text NET;
    ActorProcessCmdLine "actor.process.cmd_line" Text AUDITED;
    ActorProcessFileName "actor.process.file.name" Text NET | AUDITED;
    ActorProcessFilePath "actor.process.file.path" Text NET | AUDITED;
    ActorProcessFileTypeId "actor.process.file.type_id" Integer NET | AUDITED;
    ActorProcessParentPid "actor.process.parent_process.pid" Integer AUDITED;
    ActorProcessAuid "actor.process.auid" Integer AUDITED;
    ActorProcessEuid "actor.process.euid" Integer AUDITED;
    ActorProcessEgid "actor.process.egid" Integer AUDITED;
    ActorSessionUid "actor.session.uid" Text AUDITED | DATASTORE;
    ActorSessionTerminal "actor.session.terminal" Text ALL;
    ActorUserName "actor.user.name" Text ALL;
    ActorUserUid "actor.user.uid" Text ALL;

    UserName "user.name" Text ACCOUNT | AUTH | GROUP | TUNNEL | USERS;
    UserUid "user.uid" Text ACCOUNT | AUTH | GROUP | TUNNEL | USERS;
    UserFullName "user.full_name" Text ACCOUNT | USERS;
    UserDomain "user.domain" Text ACCOUNT | AUTH | GROUP | TUNNEL | USERS;
    UserTypeId "user.type_id" Integer ACCOUNT | AUTH | GROUP | USERS;
    UserGroupsUid "user.groups[].uid" Text ACCOUNT | AUTH | GROUP | USERS;
    UserGroupsName "user.groups[].name" Text ACCOUNT | AUTH | GROUP | USERS;
    GroupName "group.name" Text GROUP;
    GroupUid "group.uid" Text GROUP;

    SrcEndpointIp "src_endpoint.ip" Text ACCOUNT | AUTH | GROUP | LOG | ENDS;
    SrcEndpointHostname "src_endpoint.hostname" Text ACCOUNT | AUTH | GROUP | LOG | ENDS;
    SrcEndpointPort "src_endpoint.port" Integer ACCOUNT | AUTH | GROUP | LOG | ENDS;
    SrcEndpointInterfaceName "src_endpoint.interface_name" Text NET;
    SrcEndpointZone "src_endpoint.zone" Text ACCOUNT | AUTH | GROUP | LOG | ENDS;
    SrcEndpointUid "src_endpoint.uid" Text DATASTORE | DHCP;
    SrcEndpointMac "src_endpoint.mac" Text NET;
    SrcEndpointVlanUid "src_endpoint.vlan_uid" Text NET;
    SrcEndpointDomain "src_endpoint.domain" Text DHCP;
    DstEndpointIp "dst_endpoint.ip" Text AUTH | LOG | ENDS;
    DstEndpointHostname "dst_endpoint.hostname" Text AUTH | LOG | ENDS;
    DstEndpointPort "dst_endpoint.port" Integer AUTH | LOG | ENDS;
    DstEndpointInterfaceName "dst_endpoint.interface_name" Text NET;
    DstEndpointZone "dst_endpoint.zone" Text AUTH | LOG | ENDS;
    DstEndpointMac "dst_endpoint.mac" Text NET;
    DstEndpointVlanUid "dst_endpoint.vlan_uid" Text NET;
    DstEndpointDomain "dst_endpoint.domain" Text DHCP;

    ConnectionDirection "connection_info.direction" Text NET;
    ConnectionDirectionId "connection_info.direction_id" Integer NET;
    ConnectionProtocolNum "connection_info.protocol_num" Integer NET;
    ConnectionProtocolName "connection_info.protocol_name" Text NET;
    ConnectionProtocolVerId "connection_info.protocol_ver_id" Integer NET;
    ConnectionCommunityUid "connection_info.community_uid" Text NET;
    ConnectionTcpFlags "connection_info.tcp_flags" Integer NET;
    ConnectionFlagHistory "connection_info.flag_history" Text NET;
    ConnectionUid "connection_info.uid" Text NET;
    AppProtocolName "app_protocol_name" Text NET;
    FirewallRuleName "firewall_rule.name" Text ALL;
    FirewallRuleUid "firewall_rule.uid" Text ALL;
    PolicyName "policy.name" Text ALL & !ACCOUNT;

    ServiceName "service.name" Text AUTH;
    SessionUid "session.uid" Text AUTH | TUNNEL;
    SessionTerminal "session.terminal" Text AUTH;
    SessionCreatedTime "session.created_time" Long AUTH;
    SessionIsRemote "session.is_remote" Bool AUTH;
    IsRemote "is_remote" Bool AUTH;
    LogonTypeId "logon_type_id" Integer AUTH;
    AuthProtocol "auth_protocol" Text AUTH;
    AuthProtocolId "auth_protocol_id" Integer AUTH;
    AuthFactorsFactorTypeId "auth_factors[].factor_type_id" Integer AUTH;
    AccountSwitchTypeId "account_switch_type_id" Integer AUTH;

    ProcessPid "process.pid" Integer PROCESS;
    ProcessUid "process.uid" Text PROCESS;
    ProcessName "process.name" Text PROCESS;
    ProcessCmdLine "process.cmd_line" Text PROCESS;
    ProcessWorkingDirectory "process.working_directory" Text PROCESS;
    ProcessFileName "process.file.name" Text PROCESS;
    ProcessFilePath "process.file.path" Text PROCESS;
    ProcessFileTypeId "process.file.type_id" Integer PROCESS;
    ProcessFileHashAlgorithm "process.file.hashes[].algorithm" Text PROCESS;
    ProcessFileHashAlgorithmId "process.file.hashes[].algorithm_id" Integer PROCESS;
    ProcessFileHashValue "process.file.hashes[].value" Text PROCESS;
    ProcessUserUid "process.user.uid" Text PROCESS;
    ProcessUserName "process.user.name" Text PROCESS;
    ProcessGroupName "process.user.groups[].name" Text PROCESS;
    ProcessContainerUid "process.container.uid" Text PROCESS;
    ProcessParentPid "process.parent_process.pid" Integer PROCESS;
    ProcessParentName "process.parent_process.name" Text PROCESS;
    ProcessParentCmdLine "process.parent_process.cmd_line" Text PROCESS;
    ProcessAuid "process.auid" Integer PROCESS;
    ProcessEuid "process.euid" Integer PROCESS;
    ProcessEgid "process.egid" Integer PROCESS;
    ProcessSessionUid "process.session.uid" Text PROCESS;
    ProcessSessionTerminal "process.session.terminal" Text PROCESS;
    ProcessCreatedTime "process.created_time" Long PROCESS;
    ProcessTerminatedTime "process.terminated_time" Long PROCESS;
    ExitCode "exit_code" Integer PROCESS;
    LaunchTypeId "launch_type_id" Integer PROCESS;

    KernelName "kernel.name" Text KERNEL;
    KernelTypeId "kernel.type_id" Integer KERNEL;
    KernelSystemCall "kernel.system_call" Text KERNEL;
    PeripheralName "peripheral_device.name" Text PERIPHERAL;
    PeripheralUid "peripheral_device.uid" Text PERIPHERAL;
    PeripheralClass "peripheral_device.class" Text PERIPHERAL;
    PeripheralModel "peripheral_device.model" Text PERIPHERAL;
    PeripheralSerialNumber "peripheral_device.serial_number" Text PERIPHERAL;
    PeripheralVendorName "peripheral_device.vendor_name" Text PERIPHERAL;

    FindingUid "finding_info.uid" Text FINDING;
    FindingTitle "finding_info.title" Text FINDING;
    FindingDesc "finding_info.desc" Text FINDING;
    FindingTypes "finding_info.types[]" Text FINDING;
    FindingSrcUrl "finding_info.src_url" Text FINDING;
    FindingProductUid "finding_info.product_uid" Text FINDING;
    FindingAnalyticName "finding_info.analytic.name" Text FINDING;
    FindingAnalyticUid "finding_info.analytic.uid" Text FINDING;
    FindingAnalyticTypeId "finding_info.analytic.type_id" Integer FINDING;
    FindingAnalyticCategory "finding_info.analytic.category" Text FINDING;
    FindingAnalyticVersion "finding_info.analytic.version" Text FINDING;
    FindingAttacksTechniqueUid "finding_info.attacks[].technique.uid" Text FINDING;
    FindingAttacksTechniqueName "finding_info.attacks[].technique.name" Text FINDING;
    FindingAttacksTacticUid "finding_info.attacks[].tactic.uid" Text FINDING;
    FindingAttacksTacticName "finding_info.attacks[].tactic.name" Text FINDING;
    EvidencesSrcEndpointIp "evidences[].src_endpoint.ip" Text FINDING;
    EvidencesSrcEndpointHostname "evidences[].src_endpoint.hostname" Text FINDING;
    EvidencesSrcEndpointPort "evidences[].src_endpoint.port" Integer FINDING;
    EvidencesSrcEndpointMac "evidences[].src_endpoint.mac" Text FINDING;
    EvidencesSrcEndpointInterfaceName "evidences[].src_endpoint.interface_name" Text FINDING;
    EvidencesDstEndpointIp "evidences[].dst_endpoint.ip" Text FINDING;
    EvidencesDstEndpointHostname "evidences[].dst_endpoint.hostname" Text FINDING;
    EvidencesDstEndpointPort "evidences[].dst_endpoint.port" Integer FINDING;
    EvidencesDstEndpointMac "evidences[].dst_endpoint.mac" Text FINDING;
    EvidencesConnectionDirectionId "evidences[].connection_info.direction_id" Integer FINDING;
    EvidencesConnectionProtocolName "evidences[].connection_info.protocol_name" Text FINDING;
    EvidencesConnectionCommunityUid "evidences[].connection_info.community_uid" Text FINDING;
    EvidencesQueryHostname "evidences[].query.hostname" Text FINDING;
    EvidencesQueryType "evidences[].query.type" Text FINDING;
    EvidencesHttpMethod "evidences[].http_request.http_method" Text FINDING;
    EvidencesHttpUserAgent "evidences[].http_request.user_agent" Text FINDING;
    EvidencesHttpReferrer "evidences[].http_request.referrer" Text FINDING;
    EvidencesHttpCode "evidences[].http_response.code" Integer FINDING;
    EvidencesHttpContentType "evidences[].http_response.content_type" Text FINDING;
    EvidencesHttpBodyLength "evidences[].http_response.body_length" Long FINDING;
    EvidencesTlsVersion "evidences[].tls.version" Text FINDING;
    EvidencesTlsSni "evidences[].tls.sni" Text FINDING;
    EvidencesTlsJa3Algorithm "evidences[].tls.ja3_hash.algorithm" Text FINDING;
    EvidencesTlsJa3AlgorithmId "evidences[].tls.ja3_hash.algorithm_id" Integer FINDING;
    EvidencesTlsJa3Value "evidences[].tls.ja3_hash.value" Text FINDING;
    EvidencesTlsJa3sAlgorithm "evidences[].tls.ja3s_hash.algorithm" Text FINDING;
    EvidencesTlsJa3sAlgorithmId "evidences[].tls.ja3s_hash.algorithm_id" Integer FINDING;
    EvidencesTlsJa3sValue "evidences[].tls.ja3s_hash.value" Text FINDING;
    EvidencesTlsCertificateIssuer "evidences[].tls.certificate.issuer" Text FINDING;
    EvidencesTlsCertificateSubject "evidences[].tls.certificate.subject" Text FINDING;
    EvidencesTlsCertificateSerialNumber "evidences[].tls.certificate.serial_number" Text FINDING;
    EvidencesUserName "evidences[].user.name" Text FINDING;
    EvidencesUserUid "evidences[].user.uid" Text FINDING;
    EvidencesProcessName "evidences[].process.name" Text FINDING;
    EvidencesProcessPid "evidences[].process.pid" Integer FINDING;
    EvidencesProcessUid "evidences[].process.uid" Text FINDING;
    EvidencesProcessCmdLine "evidences[].process.cmd_line" Text FINDING;
    EvidencesProcessFileName "evidences[].process.file.name" Text FINDING;
    EvidencesProcessFilePath "evidences[].process.file.path" Text FINDING;
    EvidencesProcessFileTypeId "evidences[].process.file.type_id" Integer FINDING;
    EvidencesProcessParentName "evidences[].process.parent_process.name" Text FINDING;
    EvidencesProcessParentPid "evidences[].process.parent_process.pid" Integer FINDING;
    EvidencesProcessParentUid "evidences[].process.parent_process.uid" Text FINDING;
    EvidencesProcessParentCmdLine "evidences[].process.parent_process.cmd_line" Text FINDING;
    EvidencesFileName "evidences[].file.name" Text FINDING;
    EvidencesFilePath "evidences[].file.path" Text FINDING;
    EvidencesFileTypeId "evidences[].file.type_id" Integer FINDING;
    EvidencesUrlString "evidences[].url.url_string" Text FINDING;
    EvidencesUrlHostname "evidences[].url.hostname" Text FINDING;
    EvidencesContainerUid "evidences[].container.uid" Text FINDING;
    EvidencesContainerName "evidences[].container.name" Text FINDING;
    EvidencesContainerImageName "evidences[].container.image.name" Text FINDING;
    EvidencesContainerImageUid "evidences[].container.image.uid" Text FINDING;
    EvidencesContainerImageTag "evidences[].container.image.tag" Text FINDING;
    EvidencesContainerPodUid "evidences[].container.pod_uuid" Text FINDING;
    RiskScore "risk_score" Integer FINDING;

    JobName "job.name" Text JOB;
    JobCmdLine "job.cmd_line" Text JOB;
    JobUserName "job.user.name" Text JOB;

    FileName "file.name" Text FILE | FTP | HTTP | SMB;
    FilePath "file.path" Text FILE | FTP | HTTP | SMB;
    FileTypeId "file.type_id" Integer FILE | FTP | HTTP | SMB;
    FileSize "file.size" Long FILE | FTP | HTTP | SMB;
    FileModifiedTime "file.modified_time" Long FILE;
    FileOwnerUid "file.owner.uid" Text FILE;
    FileOwnerName "file.owner.name" Text FILE;
    FileHashAlgorithm "file.hashes[].algorithm" Text FILE | FTP | HTTP | SMB;
    FileHashAlgorithmId "file.hashes[].algorithm_id" Integer FILE | FTP | HTTP | SMB;
    FileHashValue "file.hashes[].value" Text FILE | FTP | HTTP | SMB;
    FileResultName "file_result.name" Text FILE;
    FileResultPath "file_result.path" Text FILE;
    FileResultTypeId "file_result.type_id" Integer FILE;
    FileResultSize "file_result.size" Long FILE;
    FileResultModifiedTime "file_result.modified_time" Long FILE;
    FileResultOwnerUid "file_result.owner.uid" Text FILE;
    FileResultOwnerName "file_result.owner.name" Text FILE;
    FileResultHashAlgorithm "file_result.hashes[].algorithm" Text FILE;
    FileResultHashAlgorithmId "file_result.hashes[].algorithm_id" Integer FILE;
    FileResultHashValue "file_result.hashes[].value" Text FILE;

    DriverFileName "driver.file.name" Text MODULE;
    DriverFilePath "driver.file.path" Text MODULE;
    DriverFileTypeId "driver.file.type_id" Integer MODULE;

    AppName "app.name" Text APP;
    AppUid "app.uid" Text APP;
    AppVersion "app.version" Text APP;
    AppVendorName "app.vendor_name" Text APP;

    SbomPackageName "sbom.package.name" Text SOFTWARE;
    SbomPackageVersion "sbom.package.version" Text SOFTWARE;
    SbomPackageTypeId "sbom.package.type_id" Integer SOFTWARE;
    SbomComponentName "sbom.software_components[].name" Text SOFTWARE;
    SbomComponentVersion "sbom.software_components[].version" Text SOFTWARE;
    SbomComponentPurl "sbom.software_components[].purl" Text SOFTWARE;

    QueryResultId "query_result_id" Integer EVIDENCE;
    EvidenceQueryType "query_evidence.query_type" Text EVIDENCE;
    EvidenceQueryTypeId "query_evidence.query_type_id" Integer EVIDENCE;
    EvidenceState "query_evidence.state" Text EVIDENCE;
    EvidenceTcpStateId "query_evidence.tcp_state_id" Integer EVIDENCE;
    EvidenceConnectionDirectionId "query_evidence.connection_info.direction_id" Integer EVIDENCE;
    EvidenceConnectionProtocolNum "query_evidence.connection_info.protocol_num" Integer EVIDENCE;
    EvidenceConnectionProtocolName "query_evidence.connection_info.protocol_name" Text EVIDENCE;
    EvidenceConnectionProtocolVerId "query_evidence.connection_info.protocol_ver_id" Integer EVIDENCE;
    EvidenceConnectionCommunityUid "query_evidence.connection_info.community_uid" Text EVIDENCE;
    EvidenceFileName "query_evidence.file.name" Text EVIDENCE;
    EvidenceFilePath "query_evidence.file.path" Text EVIDENCE;
    EvidenceFileTypeId "query_evidence.file.type_id" Integer EVIDENCE;
    EvidenceFileSize "query_evidence.file.size" Long EVIDENCE;
    EvidenceFileModifiedTime "query_evidence.file.modified_time" Long EVIDENCE;
    EvidenceFileOwnerUid "query_evidence.file.owner.uid" Text EVIDENCE;
    EvidenceFolderName "query_evidence.folder.name" Text EVIDENCE;
    EvidenceFolderPath "query_evidence.folder.path" Text EVIDENCE;
    EvidenceFolderTypeId "query_evidence.folder.type_id" Integer EVIDENCE;
    EvidenceGroupName "query_evidence.group.name" Text EVIDENCE;
    EvidenceGroupUid "query_evidence.group.uid" Text EVIDENCE;
    EvidenceJobName "query_evidence.job.name" Text EVIDENCE;
    EvidenceJobCmdLine "query_evidence.job.cmd_line" Text EVIDENCE;
    EvidenceJobUserName "query_evidence.job.user.name" Text EVIDENCE;
    EvidenceModuleLoadTypeId "query_evidence.module.load_type_id" Integer EVIDENCE;
    EvidenceModuleFileName "query_evidence.module.file.name" Text EVIDENCE;
    EvidenceModuleFilePath "query_evidence.module.file.path" Text EVIDENCE;
    EvidenceModuleFileTypeId "query_evidence.module.file.type_id" Integer EVIDENCE;
    EvidenceProcessPid "query_evidence.process.pid" Integer EVIDENCE;
    EvidenceProcessUid "query_evidence.process.uid" Text EVIDENCE;
    EvidenceProcessName "query_evidence.process.name" Text EVIDENCE;
    EvidenceProcessCmdLine "query_evidence.process.cmd_line" Text EVIDENCE;
    EvidenceProcessWorkingDirectory "query_evidence.process.working_directory" Text EVIDENCE;
    EvidenceProcessCreatedTime "query_evidence.process.created_time" Long EVIDENCE;
    EvidenceProcessFileName "query_evidence.process.file.name" Text EVIDENCE;
    EvidenceProcessFilePath "query_evidence.process.file.path" Text EVIDENCE;
    EvidenceProcessFileTypeId "query_evidence.process.file.type_id" Integer EVIDENCE;
    EvidenceProcessFileHashAlgorithm "query_evidence.process.file.hashes[].algorithm" Text EVIDENCE;
    EvidenceProcessFileHashAlgorithmId "query_evidence.process.file.hashes[].algorithm_id" Integer EVIDENCE;
    EvidenceProcessFileHashValue "query_evidence.process.file.hashes[].value" Text EVIDENCE;
    EvidenceProcessUserUid "query_evidence.process.user.uid" Text EVIDENCE;
    EvidenceProcessUserName "query_evidence.process.user.name" Text EVIDENCE;
    EvidenceProcessContainerUid "query_evidence.process.container.uid" Text EVIDENCE;
    EvidenceProcessParentPid "query_evidence.process.parent_process.pid" Integer EVIDENCE;
    EvidenceServiceName "query_evidence.service.name" Text EVIDENCE;
    EvidenceSessionUid "query_evidence.session.uid" Text EVIDENCE;
    EvidenceSessionTerminal "query_evidence.session.terminal" Text EVIDENCE;
    EvidenceSessionCreatedTime "query_evidence.session.created_time" Long EVIDENCE;
    EvidenceSessionIsRemote "query_evidence.session.is_remote" Bool EVIDENCE;
    EvidenceUserName "query_evidence.user.name" Text EVIDENCE;
    EvidenceUserUid "query_evidence.user.uid" Text EVIDENCE;

    HttpRequestMethod "http_request.http_method" Text HTTP;
    HttpRequestUrlString "http_request.url.url_string" Text HTTP;
    HttpRequestUrlScheme "http_request.url.scheme" Text HTTP;
    HttpRequestUrlHostname "http_request.url.hostname" Text HTTP;
    HttpRequestUrlPath "http_request.url.path" Text HTTP;
    HttpRequestUrlQueryString "http_request.url.query_string" Text HTTP;
    HttpRequestVersion "http_request.version" Text HTTP;
    HttpRequestReferrer "http_request.referrer" Text HTTP;
    HttpRequestUserAgent "http_request.user_agent" Text HTTP | API | AUTH;
    HttpRequestBodyLength "http_request.body_length" Long HTTP;
    HttpRequestForwardedFor "http_request.x_forwarded_for[]" Text HTTP;
    HttpResponseCode "http_response.code" Integer HTTP;
    HttpResponseStatus "http_response.status" Text HTTP;
    HttpResponseContentType "http_response.content_type" Text HTTP;
    HttpResponseLatency "http_response.latency" Integer HTTP;
    HttpResponseBodyLength "http_response.body_length" Long HTTP;
    TrafficBytesIn "traffic.bytes_in" Long NET | TUNNEL;
    TrafficBytesOut "traffic.bytes_out" Long NET | TUNNEL;
    TrafficBytes "traffic.bytes" Long NET | TUNNEL;
    TrafficPacketsIn "traffic.packets_in" Long NET | TUNNEL;
    TrafficPacketsOut "traffic.packets_out" Long NET | TUNNEL;
    TrafficPackets "traffic.packets" Long NET | TUNNEL;

    TlsVersion "tls.version" Text NETWORK;
    TlsSni "tls.sni" Text NETWORK;
    TlsCipher "tls.cipher" Text NETWORK;
    TlsAlert "tls.alert" Integer NETWORK;
    TlsHandshakeDur "tls.handshake_dur" Integer NETWORK;
    TlsClientCiphers "tls.client_ciphers[]" Text NETWORK;
    TlsExtensionType "tls.tls_extension_list[].type" Text NETWORK;
    TlsExtensionTypeId "tls.tls_extension_list[].type_id" Integer NETWORK;
    TlsJa3Algorithm "tls.ja3_hash.algorithm" Text NETWORK;
    TlsJa3AlgorithmId "tls.ja3_hash.algorithm_id" Integer NETWORK;
    TlsJa3Value "tls.ja3_hash.value" Text NETWORK;
    TlsJa3sAlgorithm "tls.ja3s_hash.algorithm" Text NETWORK;
    TlsJa3sAlgorithmId "tls.ja3s_hash.algorithm_id" Integer NETWORK;
    TlsJa3sValue "tls.ja3s_hash.value" Text NETWORK;
    TlsCertificateIssuer "tls.certificate.issuer" Text NETWORK;
    TlsCertificateSubject "tls.certificate.subject" Text NETWORK;
    TlsCertificateSerialNumber "tls.certificate.serial_number" Text NETWORK;
    TlsCertificateVersion "tls.certificate.version" Text NETWORK;
    TlsCertificateCreatedTime "tls.certificate.created_time" Long NETWORK;
    TlsCertificateExpirationTime "tls.certificate.expiration_time" Long NETWORK;
    TlsCertificateIsSelfSigned "tls.certificate.is_self_signed" Bool NETWORK;
    TlsCertificateFingerprintAlgorithm "tls.certificate.fingerprints[].algorithm" Text NETWORK;
    TlsCertificateFingerprintAlgorithmId "tls.certificate.fingerprints[].algorithm_id" Integer NETWORK;
    TlsCertificateFingerprintValue "tls.certificate.fingerprints[].value" Text NETWORK;
    TlsCertificateSanName "tls.certificate.sans[].name" Text NETWORK;
    TlsCertificateSanType "tls.certificate.sans[].type" Text NETWORK;
    TlsCertificateChain "tls.certificate_chain[]" Text NETWORK;
    Ja4Type "ja4_fingerprint_list[].type" Text NETWORK;
    Ja4TypeId "ja4_fingerprint_list[].type_id" Integer NETWORK;
    Ja4Value "ja4_fingerprint_list[].value" Text NETWORK;

    QueryHostname "query.hostname" Text DNS;
    QueryType "query.type" Text DNS;
    QueryClass "query.class" Text DNS;
    QueryOpcodeId "query.opcode_id" Integer DNS;
    QueryPacketUid "query.packet_uid" Integer DNS;
    QueryTime "query_time" Long DNS;
    ResponseTime "response_time" Long DNS;
    Rcode "rcode" Text DNS;
    RcodeId "rcode_id" Integer DNS;
    AnswersType "answers[].type" Text DNS;
    AnswersClass "answers[].class" Text DNS;
    AnswersTtl "answers[].ttl" Long DNS;
    AnswersRdata "answers[].rdata" Text DNS;

    TransactionUid "transaction_uid" Text DHCP;
    LeaseDur "lease_dur" Long DHCP;
    IsRenewal "is_renewal" Bool DHCP;
    RelayIp "relay.ip" Text DHCP;

    ProtocolVer "protocol_ver" Text SSH | RDP;
    ClientHasshAlgorithm "client_hassh.algorithm" Text SSH;
    ClientHasshFingerprintAlgorithmId "client_hassh.fingerprint.algorithm_id" Integer SSH;
    ClientHasshFingerprintValue "client_hassh.fingerprint.value" Text SSH;
    ServerHasshAlgorithm "server_hassh.algorithm" Text SSH;
    ServerHasshFingerprintAlgorithmId "server_hassh.fingerprint.algorithm_id" Integer SSH;
    ServerHasshFingerprintValue "server_hassh.fingerprint.value" Text SSH;

    FtpCommand "command" Text FTP | EMAIL | SMB;
    FtpType "type" Text FTP;

    SmbDialect "dialect" Text SMB;
    SmbShare "share" Text SMB;
    SmbShareType "share_type" Text SMB;
    SmbTreeUid "tree_uid" Text SMB;
    IdentifierCookie "identifier_cookie" Text RDP;

    EmailDirectionId "direction_id" Integer EMAIL;
    EmailFrom "email.from" Text EMAIL;
    EmailTo "email.to[]" Text EMAIL;
    EmailSubject "email.subject" Text EMAIL;
    EmailSize "email.size" Long EMAIL;
    EmailMessageUid "email.message_uid" Text EMAIL;
    EmailUid "email.uid" Text EMAIL;
    EmailProtocolName "protocol_name" Text EMAIL | TUNNEL;
    EmailMessageTraceUid "message_trace_uid" Text EMAIL;

    TunnelType "tunnel_type" Text TUNNEL;
    TunnelTypeId "tunnel_type_id" Integer TUNNEL;
    TunnelInterfaceName "tunnel_interface.name" Text TUNNEL;
    TunnelInterfaceIp "tunnel_interface.ip" Text TUNNEL;

    DatabaseName "database.name" Text DATASTORE;
    DatabaseTypeId "database.type_id" Integer DATASTORE;
    QueryInfoName "query_info.name" Text DATASTORE;
    QueryInfoUid "query_info.uid" Text DATASTORE;
    QueryInfoQueryString "query_info.query_string" Text DATASTORE;
    TableName "table.name" Text DATASTORE;

    ApiOperation "api.operation" Text API;
    ApiServiceName "api.service.name" Text API;
    ApiRequestUid "api.request.uid" Text API;
    ApiResponseCode "api.response.code" Integer API;
    ApiResponseError "api.response.error" Text API;
    ResourcesName "resources[].name" Text API;
    ResourcesType "resources[].type" Text API;
    ResourcesNamespace "resources[].namespace" Text API;

    NtpVersion "version" Text NTP;
    NtpStratum "stratum" Text NTP;
    NtpStratumId "stratum_id" Integer NTP;
    NtpDelay "delay" Integer NTP;
    NtpDispersion "dispersion" Integer NTP;
    NtpPrecision "precision" Integer NTP;

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
