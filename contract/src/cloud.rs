//! The endpoints of each Azure cloud, and which hosts may be called.
//!
//! Sources: `az cloud list` of azure-cli-core 2.91.0 and the audiences of Microsoft's SDKs.

use serde::{Deserialize, Serialize};
use url::Url;

/// Every endpoint that differs between Azure clouds.
///
/// `custom` profiles are read from a JSON file with these same field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudProfile {
    /// `public`, `us-government`, `china` or `custom`.
    pub name: String,
    /// Azure Resource Manager.
    pub resource_manager: Url,
    /// Scope of tokens for Azure Resource Manager.
    pub resource_manager_scope: String,
    /// Microsoft Entra sign-in.
    pub authority: Url,
    /// Scope of tokens for Key Vault's data plane.
    pub key_vault_scope: String,
    /// Scope of tokens for blobs and queues.
    pub storage_scope: String,
    /// Scope of tokens for the Logs Ingestion API. The two slashes are Azure's own.
    pub ingestion_scope: String,
    /// Log Analytics query.
    pub log_query: Url,
    /// Scope of tokens for the query.
    pub log_query_scope: String,
    /// The portal, for links.
    pub portal: Url,
    /// Suffixes of the hosts of Microsoft's services that may be called with credentials. Each begins with a dot.
    /// Nobody else's machine answers under any of them.
    pub host_suffixes: Vec<String>,
    /// Suffixes of the hosts of sites, which run what their owners put there: for calls to our own site alone.
    #[serde(default)]
    pub site_suffixes: Vec<String>,
}

/// Why a cloud's name or profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The text is neither a known cloud nor a profile.
    #[error("unknown cloud `{0}`; accepted: public, us-government, china, or the JSON of a custom profile")]
    Unknown(String),
    /// The custom profile is not valid.
    #[error("reading the custom cloud profile")]
    Profile(#[source] serde_json::Error),
}

/// Which hosts a URL may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// A Microsoft service of the profile's cloud.
    Azure,
    /// A site of the profile's cloud, or the service beside it that takes packages.
    Site,
    /// A Mimecast API host.
    Mimecast,
}

/// The suffix of every Mimecast API host (design fact: any https host under `mimecast.com`).
const MIMECAST_SUFFIX: &str = ".mimecast.com";

/// Whether this is the address of a Mimecast API host: https, under Mimecast's own name, on its own port
/// and with nobody's name in it.
pub fn is_mimecast(url: &Url) -> bool {
    plain_https(url) && under(url, MIMECAST_SUFFIX)
}

/// Whether the host of `url` is below this suffix, not the suffix itself.
fn under(url: &Url, suffix: &str) -> bool {
    url.host_str().is_some_and(|host| host.len() > suffix.len() && host.ends_with(suffix))
}

/// Whether the address is https, on its own port, and holds no user.
fn plain_https(url: &Url) -> bool {
    url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none()
}

impl CloudProfile {
    /// The profile of a named cloud, or of a custom one given as JSON.
    ///
    /// # Errors
    /// [`CloudError`] when the name is unknown or the JSON is not a profile.
    pub fn parse(text: &str) -> Result<Self, CloudError> {
        match text.trim() {
            "public" => Ok(Self::public()),
            "us-government" => Ok(Self::us_government()),
            "china" => Ok(Self::china()),
            json if json.starts_with('{') => {
                let mut profile: Self = serde_json::from_str(json).map_err(CloudError::Profile)?;
                "custom".clone_into(&mut profile.name);
                Ok(profile)
            }
            other => Err(CloudError::Unknown(other.to_owned())),
        }
    }

    /// Whether this is a custom profile, the only kind under which plain http, loopback and other
    /// Mimecast hosts are accepted.
    pub fn custom(&self) -> bool {
        self.name == "custom"
    }

    /// Whether a request with credentials may go to `url`.
    pub fn allows(&self, url: &Url, kind: HostKind) -> bool {
        let Some(host) = url.host_str() else { return false };
        if self.custom() {
            return matches!(url.scheme(), "https" | "http");
        }
        match kind {
            HostKind::Mimecast => is_mimecast(url),
            HostKind::Site => plain_https(url) && self.site_suffixes.iter().any(|suffix| under(url, suffix)),
            HostKind::Azure => {
                let own = [&self.resource_manager, &self.authority, &self.log_query];
                plain_https(url)
                    && (self.host_suffixes.iter().any(|suffix| under(url, suffix))
                        || own.iter().any(|own| own.host_str() == Some(host)))
            }
        }
    }

    /// The public cloud.
    pub fn public() -> Self {
        Self::named(
            "public",
            ["https://management.azure.com", "https://login.microsoftonline.com", "https://portal.azure.com"],
            ["https://api.loganalytics.io", "https://monitor.azure.com", "https://vault.azure.net"],
            &[
                ".management.azure.com",
                ".vault.azure.net",
                ".blob.core.windows.net",
                ".queue.core.windows.net",
                ".storage.azure.net",
                ".ingest.monitor.azure.com",
            ],
            ".azurewebsites.net",
        )
    }

    fn us_government() -> Self {
        Self::named(
            "us-government",
            [
                "https://management.usgovcloudapi.net",
                "https://login.microsoftonline.us",
                "https://portal.azure.us",
            ],
            ["https://api.loganalytics.us", "https://monitor.azure.us", "https://vault.usgovcloudapi.net"],
            &[
                ".management.usgovcloudapi.net",
                ".vault.usgovcloudapi.net",
                ".blob.core.usgovcloudapi.net",
                ".queue.core.usgovcloudapi.net",
                ".ingest.monitor.azure.us",
            ],
            ".azurewebsites.us",
        )
    }

    fn china() -> Self {
        Self::named(
            "china",
            [
                "https://management.chinacloudapi.cn",
                "https://login.chinacloudapi.cn",
                "https://portal.azure.cn",
            ],
            ["https://api.loganalytics.azure.cn", "https://monitor.azure.cn", "https://vault.azure.cn"],
            &[
                ".management.chinacloudapi.cn",
                ".vault.azure.cn",
                ".blob.core.chinacloudapi.cn",
                ".queue.core.chinacloudapi.cn",
                ".ingest.monitor.azure.cn",
            ],
            ".chinacloudsites.cn",
        )
    }

    #[expect(clippy::expect_used, reason = "the arguments are the literals above, each parsed by a test")]
    fn named(
        name: &str,
        [resource_manager, authority, portal]: [&str; 3],
        [log_query, ingestion, key_vault]: [&str; 3],
        host_suffixes: &[&str],
        site_suffix: &str,
    ) -> Self {
        let url = |text: &str| Url::parse(text).expect("a literal URL");
        Self {
            name: name.to_owned(),
            resource_manager: url(resource_manager),
            resource_manager_scope: format!("{resource_manager}/.default"),
            authority: url(authority),
            key_vault_scope: format!("{key_vault}/.default"),
            // One audience for storage in every cloud: https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory
            storage_scope: "https://storage.azure.com/.default".to_owned(),
            ingestion_scope: format!("{ingestion}//.default"),
            log_query: url(log_query),
            log_query_scope: format!("{log_query}/.default"),
            portal: url(portal),
            host_suffixes: host_suffixes.iter().map(|&suffix| suffix.to_owned()).collect(),
            site_suffixes: vec![site_suffix.to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CloudError, CloudProfile, HostKind};
    use url::Url;

    fn allows(cloud: &str, url: &str, kind: HostKind) -> bool {
        let profile = CloudProfile::parse(cloud).expect("a known cloud");
        profile.allows(&Url::parse(url).expect("a URL"), kind)
    }

    #[test]
    fn credentials_go_only_to_the_clouds_own_hosts() {
        // BR-066
        assert!(allows("public", "https://kv-one.vault.azure.net/secrets/a", HostKind::Azure));
        assert!(allows("public", "https://x-westeurope.logs.z1.ingest.monitor.azure.com/", HostKind::Azure));
        assert!(allows("us-government", "https://login.microsoftonline.us/", HostKind::Azure));
        assert!(allows("public", "https://api.services.mimecast.com", HostKind::Mimecast));
        for poisoned in [
            "http://kv-one.vault.azure.net/",
            "https://azure.net.example.com/",
            "https://vaultazure.net/",
            "https://user@kv-one.vault.azure.net/",
            "https://kv-one.vault.azure.net:8443/",
            "https://127.0.0.1/",
            // Machines, gateways and sites that anybody may have.
            "https://anybody.westeurope.cloudapp.azure.com/",
            "https://anybody.azure-api.net/",
            "https://anybody.azurewebsites.net/",
            "https://anybody.scm.azurewebsites.net/",
            "https://anybody.blob.core.windows.net.example.com/",
        ] {
            assert!(!allows("public", poisoned, HostKind::Azure), "{poisoned}");
        }
        assert!(allows("public", "https://func-one.azurewebsites.net/", HostKind::Site));
        assert!(allows("public", "https://func-one.scm.azurewebsites.net/", HostKind::Site));
        assert!(!allows("public", "https://anybody.westeurope.cloudapp.azure.com/", HostKind::Site));
        assert!(!allows("public", "http://func-one.azurewebsites.net/", HostKind::Site));
        assert!(!allows("china", "https://kv-one.vault.azure.net/", HostKind::Azure));
        assert!(!allows("public", "https://mimecast.com.example.com/", HostKind::Mimecast));
        assert!(!allows("public", "https://notmimecast.com/", HostKind::Mimecast));
    }

    #[test]
    fn a_custom_profile_reads_back_as_written_and_allows_loopback() {
        let mut profile = CloudProfile::parse("public").expect("known");
        profile.name = "anything".to_owned();
        let json = serde_json::to_string(&profile).expect("serialises");
        let custom = CloudProfile::parse(&json).expect("a profile");
        assert!(custom.custom());
        assert!(custom.allows(&Url::parse("https://127.0.0.1:4443/").expect("a URL"), HostKind::Azure));
    }

    #[test]
    fn an_unknown_cloud_is_named_with_the_accepted_ones() {
        let error = CloudProfile::parse("germany").expect_err("retired");
        assert!(matches!(&error, CloudError::Unknown(name) if name == "germany"));
        assert!(error.to_string().contains("us-government"));
    }

    #[test]
    fn ingestion_scope_keeps_its_two_slashes() {
        let profile = CloudProfile::parse("public").expect("known");
        assert_eq!(profile.ingestion_scope, "https://monitor.azure.com//.default");
    }
}
