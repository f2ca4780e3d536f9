//! `ctl names`: what the name server has counted, and whom it asks.

use contract::resolve::{Answer, Ask};
use contract::wires::RESOLVE;
use wire::Client;

use crate::command::{Out, Words};
use crate::json::Object;
use crate::{Error, table};

pub(crate) fn names(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let failed = |error| Error::Wire(RESOLVE.server, error);
    let client = Client::dial(RESOLVE).map_err(failed)?;
    client.send(&Ask::Show, &[]).map_err(failed)?;
    let mut rows = Vec::new();
    while let Answer::Row { name, value } = client.wait::<Answer>().map_err(failed)?.0 {
        rows.push([name.to_string(), value.to_string()]);
    }
    if !words.json {
        return table::print(["WHAT", "VALUE"], &rows, out);
    }
    let object = rows.iter().fold(Object::default(), |object, [name, value]| match value.parse() {
        Ok(number) => object.number(name, Some(number)),
        Err(_) => object.text(name, value),
    });
    Ok(writeln!(out, "{}", object.end())?)
}
