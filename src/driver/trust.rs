//! Who is believed to be the server, and who we say that we are: certificates and keys from PEM files.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

/// A file that was read: its name for messages, and what is in it.
#[derive(Clone)]
pub struct Pem {
    /// Where it came from.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Which certificates of a server are accepted.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those of authorities that the system trusts.
    #[default]
    System,
    /// Those of the authorities in this file, and no others.
    Only(Pem),
    /// Any.
    Anybody,
    /// None: there is no encryption.
    Nobody,
}

/// The certificate by which a client is known, and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate and those between it and its authority.
    pub certificate: Pem,
    /// Its key; it is looked for beside the certificate where there is none.
    pub key: Option<Pem>,
}

/// A certificate or key that cannot be used. Each is a fragment after "failed to …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPem {
    /// No certificate.
    #[error("find a certificate in `{path}`{why}: give a PEM file with -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// The file.
        path: String,
        /// What is wrong with it, if anything is there.
        why: String,
    },
    /// No key.
    #[error(
        "find a private key in `{path}`: give a PEM file with one by --client-key, in clear (openssl pkey decrypts one)"
    )]
    NoKey {
        /// The file.
        path: String,
    },
    /// A certificate and a key that do not work together.
    #[error("use the client certificate in `{path}`: {why}: give the key that belongs to it")]
    Mismatch {
        /// The certificate's file.
        path: String,
        /// Why not.
        why: String,
    },
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pem({})", self.path)
    }
}

impl Pem {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, BadPem> {
        let bad = |why: String| BadPem::NoCertificate { path: self.path.clone(), why };
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let all = all.map_err(|why| bad(format!(" ({why})")))?;
        if all.is_empty() { Err(bad(String::new())) } else { Ok(all) }
    }

    /// The authorities in this file.
    pub(super) fn roots(&self) -> Result<RootCertStore, BadPem> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|why| BadPem::NoCertificate {
                path: self.path.clone(),
                why: format!(" that is an authority's ({why})"),
            })?;
        }
        Ok(roots)
    }
}

impl Identity {
    /// The certificates, the client's first, and its key.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BadPem> {
        let certificates = self.certificate.certificates()?;
        let file = self.key.as_ref().unwrap_or(&self.certificate);
        let key = PrivateKeyDer::from_pem_slice(&file.bytes);
        Ok((certificates, key.map_err(|_| BadPem::NoKey { path: file.path.clone() })?))
    }
}

/// Believes everybody who holds the key of the certificate that he shows.
#[derive(Debug)]
pub(super) struct Credulous(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem(path: &str, text: &str) -> Pem {
        Pem { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_key_beside_its_certificate_is_found_and_what_is_missing_is_named_with_its_file() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let both = pem("both.pem", &(certificate.clone() + &key.serialize_pem()));
        let identity = Identity { certificate: both.clone(), key: None };
        assert_eq!(identity.read().unwrap().0.len(), 1);
        assert_eq!(both.roots().unwrap().len(), 1);

        let alone = Identity { certificate: pem("alone.pem", &certificate), key: None };
        assert_eq!(alone.read().unwrap_err(), BadPem::NoKey { path: "alone.pem".into() });
        let apart = Identity { key: Some(pem("key.pem", &key.serialize_pem())), ..alone };
        assert!(apart.read().is_ok());
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            let error = pem("ca.pem", text).roots().unwrap_err().to_string();
            assert!(error.contains("ca.pem") && error.contains("BEGIN CERTIFICATE"), "{error}");
        }
        assert!(pem("key.pem", &key.serialize_pem()).roots().is_err(), "a key is no authority");
    }
}
