//! What a token says about who it is for. Read for display and for role assignments, never trusted:
//! the services check the signature, we only tell the person what they will see.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Whether a person or a program is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// An app registration or a managed identity.
    ServicePrincipal,
}

impl PrincipalKind {
    /// The word that role assignments take as `principalType`.
    pub fn principal_type(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::ServicePrincipal => "ServicePrincipal",
        }
    }
}

/// The claims that we show. Their names:
/// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    pub(super) oid: Option<String>,
    pub(super) tid: Option<String>,
    upn: Option<String>,
    unique_name: Option<String>,
    preferred_username: Option<String>,
    email: Option<String>,
    app_displayname: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    idtyp: Option<String>,
    scp: Option<String>,
}

impl Claims {
    /// Reads a token's middle part. A token that is none of ours to read gives empty claims.
    pub(super) fn read(token: &str) -> Self {
        let payload = token.split('.').nth(1).unwrap_or_default();
        URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// The name a person would recognise.
    pub(super) fn name(&self) -> Option<String> {
        [
            &self.upn,
            &self.unique_name,
            &self.preferred_username,
            &self.email,
            &self.app_displayname,
            &self.appid,
            &self.azp,
        ]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .cloned()
    }

    pub(super) fn kind(&self) -> PrincipalKind {
        let person = match self.idtyp.as_deref() {
            Some(kind) => kind.eq_ignore_ascii_case("user"),
            // Tokens without `idtyp`: only a person's carries delegated scopes or a user name.
            None => self.scp.is_some() || self.upn.is_some() || self.unique_name.is_some(),
        };
        if person { PrincipalKind::User } else { PrincipalKind::ServicePrincipal }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::{Claims, PrincipalKind};

    fn token(payload: &str) -> String {
        format!("e30.{}.signature", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_persons_token_names_them() {
        let claims = Claims::read(&token(
            r#"{"oid":"o-1","tid":"t-1","upn":"ana@example.com","appid":"04b07795-8ddb-461a-bbee-02f9e1bf7b46","scp":"user_impersonation"}"#,
        ));
        assert_eq!(claims.oid.as_deref(), Some("o-1"));
        assert_eq!(claims.tid.as_deref(), Some("t-1"));
        assert_eq!(claims.name().as_deref(), Some("ana@example.com"));
        assert_eq!(claims.kind(), PrincipalKind::User);
    }

    #[test]
    fn a_programs_token_names_the_program() {
        let claims = Claims::read(&token(r#"{"oid":"o-2","tid":"t-1","appid":"app-1","idtyp":"app"}"#));
        assert_eq!(claims.name().as_deref(), Some("app-1"));
        assert_eq!(claims.kind(), PrincipalKind::ServicePrincipal);
        let older = Claims::read(&token(r#"{"oid":"o-2","appid":"app-1"}"#));
        assert_eq!(older.kind(), PrincipalKind::ServicePrincipal);
    }

    #[test]
    fn an_unreadable_token_gives_nothing_and_no_panic() {
        for token in ["", ".", "opaque", "a.b.c", "a.!!!.c", "e30.bnVsbA.x"] {
            assert_eq!(Claims::read(token), Claims::default(), "{token}");
        }
    }
}
