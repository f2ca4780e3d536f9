//! The command about the operator's controllers: which do not speak with us, and whose fault that is.

use contract::doctor::{Answer, Ask, Finding, Stage};
use contract::wires::DOCTOR;
use wire::Client;

use crate::Error;
use crate::command::{Out, Words};
use crate::json::Object;

pub(crate) fn usp(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    if words.plain() != ["doctor"] {
        return Err(words.wrong());
    }
    let failed = |error| Error::Wire(DOCTOR.server, error);
    let client = Client::dial(DOCTOR).map_err(failed)?;
    client.send(&Ask::Examine, &[]).map_err(failed)?;
    let mut findings = Vec::new();
    while let Answer::Finding(finding) = client.wait::<Answer>().map_err(failed)?.0 {
        findings.push(finding);
    }
    say(&findings, words.json, out)
}

fn say(findings: &[Finding], json: bool, out: Out<'_>) -> Result<(), Error> {
    for one in findings {
        if json {
            let object = Object::default()
                .text("endpoint", &one.endpoint)
                .text("way", &one.way)
                .text("stage", one.stage.word())
                .text("side", one.side.word())
                .text("why", &one.why)
                .text("remedy", &one.remedy);
            writeln!(out, "{}", object.end())?;
            continue;
        }
        match (one.endpoint.is_empty(), one.way.is_empty()) {
            (true, true) => writeln!(out, "agent.toml")?,
            (true, false) => writeln!(out, "{}", one.way)?, // of a file that is no controller's
            (false, _) => writeln!(out, "{}  {}", one.endpoint, one.way)?,
        }
        if one.stage == Stage::Well {
            writeln!(out, "    well: connected, heard, and it may do something")?;
            continue;
        }
        writeln!(out, "    ends at: {} ({} side)", one.stage.word(), one.side.word())?;
        writeln!(out, "    why:     {}", one.why)?;
        writeln!(out, "    do:      {}", one.remedy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::say;
    use contract::doctor::{Finding, Side, Stage};

    #[test]
    fn a_finding_is_said() {
        let finding = |stage, side| Finding {
            endpoint: "self::desk".into(),
            way: "mqtts://broker.example:8883".into(),
            stage,
            side,
            why: "the broker refuses us".into(),
            remedy: "compare passwords".into(),
        };
        let said = |one: Finding, json| {
            let mut out = Vec::new();
            say(&[one], json, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = said(finding(Stage::Admission, Side::Operator), false);
        assert!(text.contains("ends at: admission (operator side)") && text.contains("compare"), "{text}");
        assert!(said(finding(Stage::Well, Side::Nobody), false).contains("well"));
        let of_file = Finding {
            endpoint: "".into(),
            way: "revoked.pem".into(),
            ..finding(Stage::Certificate, Side::Operator)
        };
        assert!(said(of_file, false).starts_with("revoked.pem\n    ends at: certificate"));
        let json = said(finding(Stage::Name, Side::Line), true);
        assert!(json.contains("\"stage\":\"name\"") && json.contains("\"side\":\"line\""), "{json}");
    }
}
