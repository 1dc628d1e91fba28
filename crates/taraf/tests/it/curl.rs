//! curl, as a caller that is not ours.

use std::process::{Child, Command, Stdio};

/// How a call of curl ended.
#[derive(Debug)]
pub(crate) struct Curled {
    /// 0 when it was answered, whatever the status; 56, 60 and the like are curl's own errors.
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Curled {
    /// What was answered; what curl says otherwise is shown.
    #[track_caller]
    pub(crate) fn answered(self) -> String {
        assert_eq!(self.exit, 0, "{self:?}");
        self.out
    }

    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.answered();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// Begins a call with nothing of this machine's settings around it.
pub(crate) fn begin(arguments: &[&str]) -> Child {
    Command::new("curl")
        .args([
            "-q",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "40",
        ])
        .args(arguments)
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .env_remove("CURL_CA_BUNDLE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is installed: cargo xtask setup")
}

/// Waits for the end of a call.
pub(crate) fn end(child: Child) -> Curled {
    let output = child.wait_with_output().unwrap();
    Curled {
        exit: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Calls to the end.
pub(crate) fn curl(arguments: &[&str]) -> Curled {
    end(begin(arguments))
}
