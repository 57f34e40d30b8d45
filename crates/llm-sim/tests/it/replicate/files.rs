//! Files as inputs of models.

use reqwest::Response;
use serde_json::{Value, json};

use crate::common::{KEY, client, get, json, start};

const CONTENT: &[u8] = b"\x00\r\n--B\r\r\n--Bound\xff\r\n";

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = b"a preamble\r\n".to_vec();
    for (head, content) in parts {
        body.extend(b"--Boundary\r\n");
        body.extend(head.as_bytes());
        body.extend(b"\r\n\r\n");
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--Boundary--\r\n");
    body
}

async fn upload(url: &str, kind: &str, body: Vec<u8>) -> Response {
    let request = client()
        .post(url)
        .bearer_auth(KEY)
        .header("content-type", kind);
    request.body(body).send().await.expect("an answer")
}

#[tokio::test]
async fn files_are_stored_unchanged() {
    let sim = start().await;
    let url = format!("{}/v1/files", sim.replicate_url());
    let body = form(&[
        (
            "Content-Disposition: form-data; name=\"metadata\"",
            br#"{"a": 1}"#,
        ),
        (
            "content-disposition: form-data; name=\"content\"; filename=\"a.png\"\r\n\
             Content-Type: image/png",
            CONTENT,
        ),
    ]);
    let response = upload(&url, "multipart/form-data; boundary=\"Boundary\"", body).await;
    assert_eq!(response.status(), 201);
    let file: Value = response.json().await.unwrap();
    assert_eq!(
        [
            &file["name"],
            &file["content_type"],
            &file["size"],
            &file["metadata"]
        ],
        [
            &json!("a.png"),
            &json!("image/png"),
            &json!(CONTENT.len()),
            &json!({"a": 1})
        ]
    );
    // Computed by sha256sum.
    let sum = "204045f94b557163a930e15fc05a9e3f586d8a3b62b7ef6a985ee58ce12abe58";
    assert_eq!(file["checksums"]["sha256"], sum);

    let own = file["urls"]["get"].as_str().unwrap().to_owned();
    assert_eq!(json(get(own.clone())).await, (200, file.clone()));
    assert_eq!(json(get(url.clone())).await.1["results"], json!([file]));
    let delete = || client().delete(&own).bearer_auth(KEY).send();
    assert_eq!(delete().await.unwrap().status(), 204);
    assert_eq!(delete().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_body_that_is_not_a_form_is_rejected() {
    let sim = start().await;
    let url = format!("{}/v1/files", sim.replicate_url());
    let kind = "multipart/form-data; boundary=Boundary";
    let whole = form(&[("content-disposition: form-data; name=content", CONTENT)]);
    assert_eq!(upload(&url, kind, whole.clone()).await.status(), 201);
    for (kind, body) in [
        ("application/json", whole.clone()),
        ("multipart/form-data", whole.clone()),
        ("multipart", whole.clone()),
        (kind, whole[..whole.len() - 20].to_vec()),
        (kind, Vec::new()),
        (kind, form(&[("nothing: here", b"")])),
        (
            kind,
            b"--Boundary\r\nno end of the head\r\n--Boundary--".to_vec(),
        ),
    ] {
        assert_eq!(upload(&url, kind, body).await.status(), 400);
    }
    let other = form(&[("content-disposition: form-data; name=other", b"")]);
    let problem: Value = upload(&url, kind, other).await.json().await.unwrap();
    assert_eq!(problem["detail"], "- content is required\n");
    let wrong = form(&[
        ("content-disposition: form-data; name=content", CONTENT),
        ("content-disposition: form-data; name=metadata", b"[]"),
    ]);
    assert_eq!(upload(&url, kind, wrong).await.status(), 422);
}
