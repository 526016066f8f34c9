use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use super::*;

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn ours() -> (tempfile::TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("staging")).unwrap();
    let tokens = Tokens::open(Some(folder.path()), None).unwrap();
    (folder, tokens)
}

fn signed(tokens: &Tokens, scope: &str) -> String {
    let granted = vec![scope.parse::<Scope>().unwrap()];
    let answer = tokens.sign(&Caller::User("alice".to_owned()), granted).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_lets_do_what_it_says_and_its_key_outlives_the_process() {
    let (folder, tokens) = ours();
    let token = signed(&tokens, "repository:team/app:pull,push,other");
    let again = Tokens::open(Some(folder.path()), None).unwrap();
    let need = |action| Need::Repository("team/app".parse().unwrap(), action);
    let expected = Caller::Token(vec![need(Action::Pull), need(Action::Push)]);
    assert_eq!(again.caller(&token), Some(expected));
    let catalog = signed(&tokens, "registry:catalog:*");
    assert_eq!(again.caller(&catalog), Some(Caller::Token(vec![Need::Catalog])));
    assert_eq!(fs::read_dir(folder.path().join("staging")).unwrap().count(), 0);
}

#[test]
fn what_somebody_changed_is_not_believed() {
    let (_folder, tokens) = ours();
    let token = signed(&tokens, "repository:a:pull");
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["access"][0]["actions"] = json!(["push"]);
    let more = format!("{}.{}.{}", parts[0], encode(&claims), parts[2]);
    let none = format!("{}.{}.", encode(&json!({"alg": "none"})), parts[1]);
    let other = format!("{}.{}.{}", encode(&json!({"alg": "HS256"})), parts[1], parts[2]);
    let stranger = signed(&ours().1, "repository:a:pull");
    for forged in [&more, &none, &other, &stranger, "", ".", "..", "a.b.c", &"a".repeat(TOKEN_LIMIT + 1)] {
        assert_eq!(tokens.caller(forged), None, "{forged}");
    }
    assert!(tokens.verified(&token, now() + LIFE + LEEWAY + 1).is_none(), "it is over");
    assert!(tokens.verified(&token, now() - 2 * LEEWAY - 5).is_none(), "it is not yet good");
}

#[test]
fn an_issuer_elsewhere_is_believed_by_its_keys() {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    let set = json!({"keys": [{"kty": "oct", "k": "x"},
        {"kty": "EC", "crv": "P-256", "kid": "one", "x": part(x), "y": part(y)}]});
    fs::write(&keys, set.to_string()).unwrap();
    let issuer = Issuer {
        name: "ci".to_owned(),
        realm: "https://ci.example/token".to_owned(),
        service: "registry.example".to_owned(),
        keys,
    };
    let tokens = Tokens::open(None, Some(issuer)).unwrap();
    let token = |kid: &str, audience: Value, issuer: &str| {
        let access = json!([{"type": "repository", "name": "a", "actions": ["*"]}]);
        let claims = json!({"iss": issuer, "aud": audience, "exp": now() + 60, "access": access});
        let signed = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": kid})), encode(&claims));
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", part(signature.as_ref()))
    };
    let all = Action::ALL.map(|action| Need::Repository("a".parse().unwrap(), action)).to_vec();
    let good = token("one", json!(["x", "registry.example"]), "ci");
    assert_eq!(tokens.caller(&good), Some(Caller::Token(all)));
    for wrong in [
        token("two", json!("registry.example"), "ci"),
        token("one", json!("another.example"), "ci"),
        token("one", json!("registry.example"), "somebody"),
        token("one", json!("minato"), "minato"),
    ] {
        assert_eq!(tokens.caller(&wrong), None);
    }
    let need = Need::Repository("a".parse().unwrap(), Action::Push);
    assert_eq!(
        tokens.challenge("http://here/token", &[need]),
        "Bearer realm=\"https://ci.example/token\",service=\"registry.example\",scope=\"repository:a:pull,push\""
    );
}
