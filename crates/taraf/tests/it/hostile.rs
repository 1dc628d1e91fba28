//! Callers who mean no good, or know no better.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::http::{Answer, call};
use super::program::{LIMIT, Program, Site};

fn connect(program: &Program, door: &str) -> TcpStream {
    let address = program.text(door).strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn a_client_that_dribbles_its_head_is_cut_off_while_others_are_served() {
    let site = Site::new("[gateway.limits]\nheader_read = \"300ms\"\n");
    let program = site.serve();
    let mut dribbling: Vec<_> = (0..50).map(|_| connect(&program, "gateway")).collect();
    for stream in &mut dribbling {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-a")
            .unwrap();
    }
    call("GET", &format!("{}/", program.text("gateway")), &[], b"").expect(200);
    for stream in &mut dribbling {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            // Closed, with or without a word.
            Ok(_) => {}
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "not cut off"),
        }
    }
    program.stop();
}

#[test]
fn an_oversized_body_is_refused_before_it_is_read() {
    let site = Site::new("");
    let program = site.serve();
    let key = site.key(&program);
    let mut stream = connect(&program, "gateway");
    let head = format!(
        "POST /api/supplier-check HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
    program.stop();
}

#[test]
fn bad_input_is_answered_clearly() {
    let site = Site::new("");
    let program = site.serve();
    let key = site.key(&program);
    let ask = |method: &str, path: &str, body: &str| -> Answer {
        let url = format!("{}{path}", program.text("gateway"));
        call(method, &url, &[("x-api-key", &key)], body.as_bytes())
    };
    ask("GET", "/api/nothing", "").expect(404);
    ask("DELETE", "/api/exchange", "").expect(405);
    ask("GET", "/api/companies/%FF", "").expect(400);
    ask("GET", "/api/companies/../../etc/passwd", "").expect(400);
    ask("POST", "/api/supplier-check", "{").expect(400);
    let missing = ask("POST", "/api/supplier-check", "{}").expect(400);
    assert!(missing.text().contains("cif"), "{}", missing.text());
    for kind in ["cif", "cnp", "iban", "bic", "onrc"] {
        let answer = ask("GET", &format!("/api/validate/{kind}/0815"), "").expect(200);
        assert_eq!(answer.json()["valid"], false, "{kind}");
    }
    ask("GET", &format!("/api/companies/{}", "9".repeat(20_000)), "").expect(414);
    program.stop();
}

#[test]
fn what_is_not_http_is_cut_off() {
    let site = Site::new("");
    let program = site.serve();
    for door in ["gateway", "operator"] {
        let mut stream = connect(&program, door);
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
            .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
            .unwrap();
        let mut rest = Vec::new();
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{door}");
        }
    }
    program.stop();
}
