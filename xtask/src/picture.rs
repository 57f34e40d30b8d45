//! `cargo xtask picture`: the picture of a terminal in README.md, from a real run.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lexopt::Arg;

use crate::clients::process::{ChildProcess, Output};
use crate::clients::{self, clean};
use crate::tool;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "picture",
    usage: "[--check]",
    about: "Draw the picture of a terminal in README.md",
    details: "\
Runs the gateway with simulated upstreams, sends a request with curl, checks a config with mistakes,
and writes what they printed as an SVG into crates/polyllm/docs/terminal.svg. The lines appear one
after the other. Needs curl.

  --check   change nothing, and fail if the picture shows something else than what is printed now.
            Words with digits, such as ids, may differ.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut only_check = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("check") => only_check = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    if only_check {
        return check();
    }
    let path = tool::root().join(PICTURE);
    fs::write(&path, draw(&session()?)).with_context(|| format!("cannot write {PICTURE}"))?;
    println!("wrote {PICTURE}");
    Ok(())
}

/// Fails if the picture is out of date.
pub(crate) fn check() -> Result<()> {
    let drawn = fs::read_to_string(tool::root().join(PICTURE))
        .with_context(|| format!("cannot read {PICTURE}"))?;
    ensure!(
        structure(&drawn) == structure(&draw(&session()?)),
        "{PICTURE} is out of date: run `cargo xtask picture`"
    );
    println!("the picture shows what is printed now");
    Ok(())
}

/// A line of the terminal.
#[derive(Debug, Eq, PartialEq)]
enum Line {
    Command(String),
    Output(String),
}

/// Runs the commands of the picture, and returns what the terminal shows.
fn session() -> Result<Vec<Line>> {
    let polyllm = clients::polyllm(false)?;
    let mut lines = Vec::new();

    lines.push(Line::Command("polyllm serve".to_owned()));
    let gateway = ChildProcess::start(
        clean(&polyllm)
            .args(["serve", "--port", "0"])
            .stderr(Stdio::null()),
    )?;
    let shown = started(&gateway)?;
    let address = shown
        .iter()
        .find_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("http://"))
        })
        .context("the gateway printed no address")?;
    let (host, _) = address
        .rsplit_once("/v1")
        .context("the gateway's address has no /v1")?;
    let fixed = |line: &str| line.replace(host, "http://127.0.0.1:4000");
    let about_curl = shown.iter().position(|line| line.starts_with("Try:"));
    let before = shown.iter().take(about_curl.unwrap_or(shown.len()));
    lines.extend(before.map(|line| Line::Output(fixed(line))));

    let json = "Content-Type: application/json";
    for part in [
        format!("curl http://127.0.0.1:4000/v1/chat/completions -H '{json}' \\"),
        format!("  -d '{BODY}'"),
    ] {
        lines.push(Line::Command(part));
    }
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--header",
        json,
    ]);
    curl.args(["--data", BODY, &format!("{address}/chat/completions")]);
    lines.extend(
        tool::output(&mut curl)?
            .lines()
            .map(|line| Line::Output(line.to_owned())),
    );
    lines.push(Line::Output(String::new()));

    lines.push(Line::Command(
        "polyllm check --config config.yaml".to_owned(),
    ));
    let folder = tool::target()?.join("picture");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.yaml"), CONFIG)?;
    let mut check = Command::new(&polyllm);
    let output = check
        .args(["check", "--config", "config.yaml"])
        .env_remove("REPLICATE_API_KEY")
        .current_dir(&folder)
        .output()?;
    let findings = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(
        findings.contains("error: "),
        "the config has no error: {findings}"
    );
    lines.extend(findings.lines().map(|line| Line::Output(line.to_owned())));
    Ok(lines)
}

/// What a server prints until it listens.
fn started(server: &ChildProcess) -> Result<Vec<String>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut lines = Vec::new();
    loop {
        match server.line(deadline) {
            Output::Line(line) if line.starts_with("Press Ctrl-C") => return Ok(lines),
            Output::Line(line) => lines.push(line),
            Output::End | Output::Timeout => {
                bail!("the gateway does not start: {}", lines.join("\n"))
            }
        }
    }
}

fn draw(lines: &[Line]) -> String {
    let mut rows = String::new();
    let (mut count, mut seconds) = (0, 0.0);
    for line in lines {
        let (text, class) = match line {
            Line::Command(text) => {
                seconds += 1.2;
                (text, "command")
            }
            Line::Output(text) => {
                seconds += 0.1;
                (text, class_of(text))
            }
        };
        let prompt = match line {
            Line::Command(text) if !text.starts_with(' ') => "$ ",
            _ => "",
        };
        for row in wrapped(&format!("{prompt}{text}")) {
            count += 1;
            let y = TOP + LINE * count;
            let _ = writeln!(
                rows,
                r#"<text x="20" y="{y}" class="{class}" style="animation-delay:{seconds:.1}s">{}</text>"#,
                escaped(&row)
            );
        }
    }
    let height = TOP + LINE * (count + 1);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="A terminal: the gateway starts, answers a request, and a config is checked">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d0d7de; white-space: pre; animation: show 0.01s both; }}
.command {{ fill: #7ee787; }}
.error {{ fill: #ff7b72; }}
.help {{ fill: #79c0ff; }}
.warning {{ fill: #e3b341; }}
@keyframes show {{ from {{ opacity: 0; }} }}
@media (prefers-reduced-motion: reduce) {{ text {{ animation: none; }} }}
</style>
<rect width="{WIDTH}" height="{height}" rx="8" fill="#0d1117"/>
<g fill="#30363d"><circle cx="22" cy="20" r="6"/><circle cx="42" cy="20" r="6"/><circle cx="62" cy="20" r="6"/></g>
{rows}</svg>
"##
    )
}

fn class_of(text: &str) -> &'static str {
    let is = |kind: &str| text.contains(&format!(" {kind}: "));
    match () {
        () if is("error") => "error",
        () if is("warning") || text.starts_with("SIMULATED") => "warning",
        () if is("help") => "help",
        () => "output",
    }
}

/// The rows of a line; a word that is longer than a row is cut.
fn wrapped(text: &str) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for character in text.chars() {
        if used == COLUMNS {
            rows.push(String::new());
            used = 0;
        }
        if let Some(row) = rows.last_mut() {
            row.push(character);
        }
        used += 1;
    }
    rows
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The words of a picture's text; those with digits, such as ids and times, are alike.
fn structure(svg: &str) -> Vec<String> {
    let texts = svg.lines().filter(|line| line.starts_with("<text"));
    let texts = texts.filter_map(|line| line.split_once('>')?.1.strip_suffix("</text>"));
    let text: String = texts.collect();
    let words = text.split(|c: char| c.is_whitespace() || "\",:".contains(c));
    words
        .filter(|word| !word.is_empty())
        .map(|word| match word.contains(|c: char| c.is_ascii_digit()) {
            true => "#".to_owned(),
            false => word.to_owned(),
        })
        .collect()
}

pub(crate) const PICTURE: &str = "crates/polyllm/docs/terminal.svg";
const BODY: &str = r#"{"model": "llama-3", "messages": [{"role": "user", "content": "Hello!"}]}"#;
/// Mistakes that happen, on purpose.
const CONFIG: &str = "\
model_list:
  - model_name: llama-3
    litellm_params:
      model: replicat/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
      temprature: 0.5
";
const COLUMNS: usize = 104;
const WIDTH: usize = 920;
const LINE: usize = 20;
const TOP: usize = 28;

/// Whether the picture can be drawn on this machine.
pub(crate) fn missing() -> Option<String> {
    tool::missing(&["curl"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(id: &str, text: &str) -> Vec<Line> {
        vec![
            Line::Command("curl -d '<a & b>'".to_owned()),
            Line::Output(format!("{{\"id\":\"chat-{id}\",\"text\":\"{text}\"}}")),
        ]
    }

    #[test]
    fn ids_may_differ_and_words_may_not() {
        let drawn = draw(&lines("1a", "hello"));
        assert!(drawn.contains("&lt;a &amp; b&gt;"), "{drawn}");
        assert_eq!(structure(&drawn), structure(&draw(&lines("2b", "hello"))));
        assert_ne!(structure(&drawn), structure(&draw(&lines("1a", "bye"))));
    }

    #[test]
    fn long_lines_are_wrapped() {
        let rows = wrapped(&"é".repeat(COLUMNS + 1));
        assert_eq!(
            rows.iter()
                .map(|row| row.chars().count())
                .collect::<Vec<_>>(),
            [COLUMNS, 1]
        );
        assert_eq!(wrapped(""), [""]);
    }

    #[test]
    fn the_readme_shows_the_picture() {
        let readme = fs::read_to_string(tool::root().join("README.md")).unwrap();
        assert!(readme.contains(PICTURE));
        assert!(tool::root().join(PICTURE).is_file());
    }
}
