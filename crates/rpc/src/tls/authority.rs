//! The cluster's authority: makes the certificates by which nodes and gateways know each other.

use super::{Subject, TlsError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use types::ClusterId;

/// How far a joiner's clock may be behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// The authority's certificate and private key, as PEM. Whoever has it can make a node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    cluster: ClusterId,
    certificate: String,
    key: String,
}

impl std::fmt::Debug for Authority {
    /// Never the key: it would end up in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A certificate with its private key, as PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certified").finish_non_exhaustive()
    }
}

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub begins: SystemTime,
    /// Not after.
    pub ends: SystemTime,
}

impl Validity {
    /// From now on, and a little before, because clocks differ.
    pub fn from_now(life: Duration) -> Validity {
        let now = SystemTime::now();
        Validity { begins: now - BACKDATED, ends: now + life }
    }
}

/// A key that is waiting for its certificate: the request goes out, the key stays.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingKey {
    key: String,
    /// The certificate request, DER.
    pub request: Vec<u8>,
}

impl std::fmt::Debug for PendingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingKey").finish_non_exhaustive()
    }
}

impl PendingKey {
    /// A fresh key and the request for its certificate. Who it is for is the authority's to say.
    pub fn new() -> Result<PendingKey, TlsError> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        Ok(PendingKey { key: key.serialize_pem(), request: request.der().to_vec() })
    }

    /// With the certificate that was made for it.
    pub fn certified(self, certificate: String) -> Certified {
        Certified { certificate, key: self.key }
    }
}

impl Authority {
    /// A new authority. It lives as long as its cluster.
    pub fn new(cluster: ClusterId) -> Result<Authority, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, format!("Atoll cluster {:032x}", cluster.0));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?;
        Ok(Authority { cluster, certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Which cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Its certificate, PEM: not secret.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What a join token carries of it: the hash of its certificate.
    pub fn pin(&self) -> Result<[u8; 32], TlsError> {
        Ok(super::pin(&certificate(&self.certificate)?))
    }

    /// A certificate for the key in a request, whatever else that asks for.
    pub fn certify(&self, subject: Subject, request: &[u8], validity: Validity) -> Result<String, TlsError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))?;
        self.sign(subject, &request.public_key, validity)
    }

    /// A certificate for a fresh key.
    pub fn issue(&self, subject: Subject, validity: Validity) -> Result<Certified, TlsError> {
        let key = KeyPair::generate()?;
        Ok(Certified { certificate: self.sign(subject, &key, validity)?, key: key.serialize_pem() })
    }

    /// A certificate for browsers, for these host names and addresses, with a fresh key. It opens nothing among nodes.
    pub fn issue_server(&self, names: &[String], validity: Validity) -> Result<Certified, TlsError> {
        let key = KeyPair::generate()?;
        // Names and addresses are told apart there.
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, "Atoll");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = validity.begins.into();
        params.not_after = validity.ends.into();
        Ok(Certified { certificate: params.signed_by(&key, &self.issuer()?)?.pem(), key: key.serialize_pem() })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, TlsError> {
        Ok(Issuer::from_ca_cert_der(&certificate(&self.certificate)?, KeyPair::from_pem(&self.key)?)?)
    }

    fn sign(&self, subject: Subject, key: &impl PublicKeyData, validity: Validity) -> Result<String, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, subject.to_string());
        params.subject_alt_names = vec![SanType::URI(subject.uri(self.cluster).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if matches!(subject, Subject::Node(_)) {
            params.subject_alt_names.push(SanType::DnsName(super::server_name(self.cluster).try_into()?));
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.not_before = validity.begins.into();
        params.not_after = validity.ends.into();
        Ok(params.signed_by(key, &self.issuer()?)?.pem())
    }
}

/// From PEM.
pub(super) fn certificate(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| TlsError(error.to_string()))
}
