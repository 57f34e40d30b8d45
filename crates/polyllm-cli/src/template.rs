use std::fs;
use std::io::{BufRead, IsTerminal, Read, stdin};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use llm_provider::nearest_names;
use llm_types::ParseError;
use prompt_templates::{
    ChatTemplate, CustomTemplate, Family, MatchReason, Now, Options, PromptMessage, Strictness,
    SystemRole, Template, match_model,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::{Render, TemplateCommand};
use crate::output::{Colour, Misuse, note, print, to_terminal};

pub(crate) fn run(command: &TemplateCommand) -> Result<ExitCode> {
    match command {
        TemplateCommand::List { json } => list(*json),
        TemplateCommand::Show { family, json } => show(family, *json),
        TemplateCommand::Match { models, json } => find(models, *json),
        TemplateCommand::Render(args) => render(args),
    }
}

fn list(json: bool) -> Result<ExitCode> {
    for family in Family::ALL {
        let line = if json {
            describe(*family).to_string()
        } else {
            format!(
                "{:<20} system {:<9} {}",
                family.name(),
                system(*family),
                family.source()
            )
        };
        print(format_args!("{}\n", line.trim_end()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(name: &str, json: bool) -> Result<ExitCode> {
    let family = family(name)?;
    if json {
        print(format_args!("{}\n", describe(family)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let example = [
        PromptMessage::system("Be brief."),
        PromptMessage::user("Hi"),
        PromptMessage::assistant("Hello!"),
        PromptMessage::user("Bye"),
    ];
    let options = Options::new()
        .with_bos(true)
        .with_strictness(Strictness::Fold)
        .with_now(now());
    let rendered = family.render(&example, &options)?;
    let quoted = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| format!("{text:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    print(format_args!(
        "{}\n  from    {}\n  BOS     {:?}\n  EOS     {:?}\n  stop    {}\n  system  {}\n\n{rendered}\n",
        family.name(),
        family.source(),
        family.bos(),
        family.eos(),
        quoted(family.stop()),
        system(family),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Exit status 1 if a model is unknown, so that scripts need not parse the output.
fn find(models: &[String], json: bool) -> Result<ExitCode> {
    let mut all_known = true;
    for model in models {
        let found = match_model(model);
        let family = found.family.map(Family::name);
        all_known &= family.is_some();
        let how = match found.reason {
            MatchReason::Base(name) => format!("a base model: {name}"),
            MatchReason::Name(words) => {
                format!("its name contains {}", words.replace(' ', " and "))
            }
            _ => "no rule matches".to_owned(),
        };
        if json {
            print(format_args!(
                "{}\n",
                json!({ "model": model, "family": family, "how": how })
            ))?;
        } else {
            print(format_args!(
                "{model}: {} ({how})\n",
                family.unwrap_or("unknown")
            ))?;
        }
    }
    Ok(if all_known {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn render(args: &Render) -> Result<ExitCode> {
    let template = template(args)?;
    let mut options = Options::new()
        .with_bos(args.bos)
        .with_generation_prompt(!args.no_generation_prompt)
        .with_continue_final(args.continue_final)
        .with_now(now());
    if args.fold {
        options = options.with_strictness(Strictness::Fold);
    }
    if args.jsonl {
        return render_lines(args, &template, &options);
    }
    let mut input = String::new();
    source(args.input.as_deref())?
        .read_to_string(&mut input)
        .context("cannot read the messages")?;
    let prompt = render_one(&template, &options, &input, 1)?;
    if args.json {
        print(format_args!("{}\n", json!({ "prompt": prompt })))?;
    } else {
        // A pipe receives the prompt without an additional line end.
        let end = if to_terminal() { "\n" } else { "" };
        print(format_args!("{prompt}{end}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render_lines(args: &Render, template: &Template, options: &Options) -> Result<ExitCode> {
    let mut failed = 0_usize;
    for (index, line) in source(args.input.as_deref())?.lines().enumerate() {
        let line = line.context("cannot read the messages")?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match render_one(template, options, &line, index + 1) {
            Ok(prompt) => json!({ "prompt": prompt }),
            Err(error) => {
                failed += 1;
                note(
                    "error",
                    Colour::Red,
                    format_args!("line {}: {error:#}", index + 1),
                );
                json!({ "error": format!("{error:#}") })
            }
        };
        print(format_args!("{answer}\n"))?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A conversation, as in the body of a chat request.
#[derive(Deserialize)]
struct Conversation {
    messages: Vec<llm_types::Message>,
    tools: Option<Vec<llm_types::Tool>>,
}

/// Renders `input`: a list of messages, or an object with `messages` and optionally `tools`. Its
/// first line is line `first_line` of the whole input.
fn render_one(
    template: &Template,
    options: &Options,
    input: &str,
    first_line: usize,
) -> Result<String> {
    let json = input.as_bytes();
    let conversation = if input.trim_start().starts_with('[') {
        llm_types::parse(json).map(|messages| Conversation {
            messages,
            tools: None,
        })
    } else {
        llm_types::parse(json)
    };
    let conversation = conversation.map_err(|error| located(&error, first_line))?;
    let tools = conversation.tools.iter().flatten();
    let tools = tools.map(serde_json::to_string).collect::<Result<_, _>>()?;
    let options = options.clone().with_tools(tools);
    let messages: Vec<PromptMessage<'_>> = conversation
        .messages
        .iter()
        .map(PromptMessage::from)
        .collect();
    Ok(template.render(&messages, &options)?)
}

/// The error with its position in the whole input.
fn located(error: &ParseError, first_line: usize) -> anyhow::Error {
    let path = match error.path() {
        "" => String::new(),
        path => format!("{path}: "),
    };
    let line = first_line + error.line() - 1;
    anyhow!(
        "invalid messages: {path}{} at line {line} column {}",
        error.message(),
        error.column()
    )
}

fn template(args: &Render) -> Result<Template> {
    if let Some(name) = &args.family {
        return Ok(Template::from(family(name)?));
    }
    if let Some(path) = &args.file {
        return chat_template(path);
    }
    if let Some(path) = &args.custom {
        let custom: CustomTemplate = serde_saphyr::from_str(&read(path)?)
            .with_context(|| format!("cannot read the template {}", path.display()))?;
        return Ok(Template::from(custom));
    }
    let model = args.model.as_deref().unwrap_or_default();
    let family = match_model(model)
        .family
        .ok_or_else(|| anyhow!("unknown format of \"{model}\"; set --family or --file"))?;
    Ok(Template::from(family))
}

/// A `chat_template.jinja`, or a `tokenizer_config.json` with a template and its tokens.
fn chat_template(path: &Path) -> Result<Template> {
    let text = read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_config = path
        .extension()
        .is_some_and(|extension| extension == "json");
    let template = if is_config {
        ChatTemplate::from_tokenizer_config(&name, &text)?
    } else {
        ChatTemplate::compile(&name, &text)?
    };
    Ok(Template::from(template))
}

fn family(name: &str) -> Result<Family> {
    Family::from_name(name).ok_or_else(|| {
        let names = Family::ALL.iter().map(|family| family.name());
        let nearest = nearest_names(name, names, 1);
        let hint = match nearest.first() {
            Some(nearest) => format!("did you mean \"{nearest}\"? "),
            None => String::new(),
        };
        let reason =
            format!("unknown family \"{name}\"; {hint}`polyllm template list` lists all families");
        Misuse(reason).into()
    })
}

fn describe(family: Family) -> Value {
    json!({
        "family": family.name(),
        "source": family.source(),
        "bos": family.bos(),
        "eos": family.eos(),
        "stop": family.stop(),
        "system": system(family),
        "tools": family.tools(),
    })
}

fn system(family: Family) -> &'static str {
    match family.system() {
        SystemRole::Anywhere => "anywhere",
        SystemRole::First => "first",
        SystemRole::InUser => "in user",
        _ => "nowhere",
    }
}

fn source(path: Option<&Path>) -> Result<Box<dyn BufRead>> {
    match path {
        Some(path) => {
            let file =
                fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            Ok(Box::new(std::io::BufReader::new(file)))
        }
        None if stdin().is_terminal() => {
            bail!("no messages: pass --input FILE or standard input")
        }
        None => Ok(Box::new(stdin().lock())),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn now() -> Now {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    Now::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
}
