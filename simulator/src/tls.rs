//! A certificate authority made at start.
//!
//! Both binaries and Microsoft's own clients trust it through `SSL_CERT_FILE` and
//! `REQUESTS_CA_BUNDLE`. The leaf is not a certificate authority itself: rustls and OpenSSL refuse
//! such a leaf.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The authority's certificate and a leaf for `localhost` and `127.0.0.1`, on disk and ready to serve.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// PEM file of the authority: what clients must trust.
    pub authority_file: PathBuf,
    /// PEM file of the leaf, for servers that are other programs (Azurite).
    pub leaf_file: PathBuf,
    /// PEM file of the leaf's key.
    pub leaf_key_file: PathBuf,
    /// The same for servers in this process.
    pub server_config: Arc<ServerConfig>,
}

impl Certificates {
    /// Makes an authority and a leaf, and writes their PEM files into `directory`.
    ///
    /// # Errors
    /// When the files cannot be written or the key material cannot be made.
    pub fn make(directory: &Path) -> io::Result<Self> {
        let mut authority = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "mimecast-sentinel simulator");
        let authority_key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(authority, authority_key).map_err(io::Error::other)?;

        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate().map_err(io::Error::other)?;
        let leaf = leaf.signed_by(&leaf_key, &issuer).map_err(io::Error::other)?;

        let authority_file = directory.join("authority.pem");
        let leaf_file = directory.join("leaf.pem");
        let leaf_key_file = directory.join("leaf-key.pem");
        std::fs::write(&authority_file, issuer.pem())?;
        std::fs::write(&leaf_file, leaf.pem())?;
        std::fs::write(&leaf_key_file, leaf_key.serialize_pem())?;

        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server_config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)?;
        Ok(Self { authority_file, leaf_file, leaf_key_file, server_config: Arc::new(server_config) })
    }
}
