//! Protobuf, as much of it as USP needs: varints, 32-bit numbers, texts, bytes, messages, lists, one-ofs.
//!
//! In:  a stranger's bytes and [`Limits`]. Out: fields, borrowed from the bytes; and bytes again.
//!
//! What a field is called and which number it has stands in the tables of `record.rs` and `message.rs`; [`message!`], [`one_of!`] and
//! [`choice!`] make types of them. Nothing recurses but the tables themselves, so depth is bounded by the schema.
//!
//! As other readers of protobuf do: a field that is not known is ignored; of a field that may stand once the last one holds. Unlike them:
//! a field that is known and has another form is refused (readers differ in what they make of it), so are groups, keys of more than 32 bits,
//! a number that is none of a choice's, and a second field of a one-of (R-ENC.3).
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use std::borrow::Cow;
use std::fmt;

/// A text: borrowed from what was read, owned where it was made.
pub type Text<'a> = Cow<'a, str>;
/// Bytes, as [`Text`].
pub type Bytes<'a> = Cow<'a, [u8]>;

/// How much is taken from a stranger at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a record, or of a message.
    pub bytes: usize,
    /// Fields in it, inner ones and entries of lists included: what is kept of one is less than 150 bytes beside its text.
    pub fields: u32,
}

/// What a gateway takes from a controller: with the longest list of fields, one MiB.
pub const GATEWAY: Limits = Limits { bytes: 256 * 1024, fields: 8 * 1024 };
/// What a desk takes from a gateway: the whole of a data model.
pub const DESK: Limits = Limits { bytes: 8 * 1024 * 1024, fields: 512 * 1024 };

/// Why bytes are no record or no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It ends in the middle of something.
    Cut,
    /// A number is longer than 64 bits, or a field has the number 0, or one of more than 29 bits.
    Number,
    /// A field of another form than it should have, or of one that USP does not have: a group.
    Form,
    /// A text is not UTF-8.
    Text,
    /// One of several fields of which one alone may stand, and it is the second (R-ENC.3).
    Twice,
    /// A choice has no such number.
    Choice(&'static str, u64),
    /// More bytes than [`Limits::bytes`].
    Bytes(usize),
    /// More fields than [`Limits::fields`].
    Fields,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => write!(f, "protobuf: cut short"),
            Self::Number => write!(f, "protobuf: a number that cannot be"),
            Self::Form => write!(f, "protobuf: a field of the wrong form"),
            Self::Text => write!(f, "protobuf: a text that is not UTF-8"),
            Self::Twice => write!(f, "protobuf: two of which only one may be"),
            Self::Choice(name, number) => write!(f, "protobuf: {name} cannot be {number}"),
            Self::Bytes(limit) => write!(f, "protobuf: more than {limit} bytes"),
            Self::Fields => write!(f, "protobuf: too many fields"),
        }
    }
}

impl std::error::Error for Error {}

/// A field's value, before it is known what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Fields that may still come.
#[derive(Debug)]
pub(crate) struct Budget(u32);

impl Budget {
    /// All of it, for `bytes`.
    pub(crate) fn of(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        if bytes.len() > limits.bytes { Err(Error::Bytes(limits.bytes)) } else { Ok(Self(limits.fields)) }
    }

    fn spend(&mut self) -> Result<(), Error> {
        self.0 = self.0.checked_sub(1).ok_or(Error::Fields)?;
        Ok(())
    }
}

/// Reads one field after another.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next field: its number and value.
    pub(crate) fn next(&mut self, budget: &mut Budget) -> Result<Option<(u64, Value<'a>)>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        budget.spend()?;
        let tag = self.varint()?;
        let (number, form) = (tag >> 3, u8::try_from(tag & 7).unwrap_or(0));
        // A key has 32 bits: of a longer one some readers cut off what is above, and see another field.
        if number == 0 || u32::try_from(tag).is_err() {
            return Err(Error::Number);
        }
        let value = match form {
            0 => Value::Varint(self.varint()?),
            1 => self.split(8).map(|_| Value::Fixed64)?,
            2 => {
                let size = usize::try_from(self.varint()?).map_err(|_| Error::Cut)?;
                Value::Bytes(self.split(size)?)
            }
            5 => {
                let bytes = self.split(4)?;
                Value::Fixed32(bytes.try_into().map(u32::from_le_bytes).map_err(|_| Error::Cut)?)
            }
            _ => return Err(Error::Form),
        };
        Ok(Some((number, value)))
    }

    fn split(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let (piece, rest) = self.0.split_at_checked(size).ok_or(Error::Cut)?;
        self.0 = rest;
        Ok(piece)
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for place in 0..10_u32 {
            let [byte] = self.split(1)? else { return Err(Error::Cut) };
            if place == 9 && *byte > 1 {
                return Err(Error::Number);
            }
            value |= u64::from(byte & 0x7f) << (place * 7);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Number)
    }
}

pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_tag(number: u32, form: u8, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | u64::from(form), out);
}

fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_tag(number, 2, out);
    put_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

/// Writes field `number`, whose bytes `inner` writes.
pub(crate) fn put_nested(number: u32, out: &mut Vec<u8>, inner: impl FnOnce(&mut Vec<u8>)) {
    put_tag(number, 2, out);
    let begin = out.len();
    inner(out);
    let size = out.len().saturating_sub(begin);
    let mut head = Vec::with_capacity(10);
    put_varint(u64::try_from(size).unwrap_or(u64::MAX), &mut head);
    out.splice(begin..begin, head);
}

/// One value: what stands in a field by itself, in a list, in a one-of.
pub(crate) trait Single<'a>: Sized {
    /// The value, where it has the right form.
    fn read(value: Value<'a>, budget: &mut Budget) -> Result<Self, Error>;
    /// Writes it, whatever it is.
    fn write(&self, number: u32, out: &mut Vec<u8>);
    /// It is what is meant where nothing is said.
    fn is_default(&self) -> bool;
}

/// A field of a message.
pub(crate) trait Field<'a> {
    /// Takes what was read.
    fn take(&mut self, value: Value<'a>, budget: &mut Budget) -> Result<(), Error>;
    /// Writes it, where there is something to say.
    fn put(&self, number: u32, out: &mut Vec<u8>);
}

impl<'a, T: Single<'a>> Field<'a> for T {
    fn take(&mut self, value: Value<'a>, budget: &mut Budget) -> Result<(), Error> {
        *self = T::read(value, budget)?;
        Ok(())
    }

    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_default() {
            self.write(number, out);
        }
    }
}

impl<'a, T: Single<'a>> Field<'a> for Vec<T> {
    fn take(&mut self, value: Value<'a>, budget: &mut Budget) -> Result<(), Error> {
        self.push(T::read(value, budget)?);
        Ok(())
    }

    fn put(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.write(number, out));
    }
}

impl<'a, T: Single<'a>> Field<'a> for Option<T> {
    fn take(&mut self, value: Value<'a>, budget: &mut Budget) -> Result<(), Error> {
        *self = Some(T::read(value, budget)?);
        Ok(())
    }

    fn put(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.write(number, out));
    }
}

impl<'a> Single<'a> for Text<'a> {
    fn read(value: Value<'a>, _: &mut Budget) -> Result<Self, Error> {
        let Value::Bytes(bytes) = value else { return Err(Error::Form) };
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Error::Text)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        put_bytes(number, self.as_bytes(), out);
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<'a> Single<'a> for Bytes<'a> {
    fn read(value: Value<'a>, _: &mut Budget) -> Result<Self, Error> {
        let Value::Bytes(bytes) = value else { return Err(Error::Form) };
        Ok(Cow::Borrowed(bytes))
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        put_bytes(number, self, out);
    }

    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<'a> Single<'a> for bool {
    fn read(value: Value<'a>, _: &mut Budget) -> Result<Self, Error> {
        let Value::Varint(number) = value else { return Err(Error::Form) };
        Ok(number != 0)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        put_tag(number, 0, out);
        put_varint(u64::from(*self), out);
    }

    fn is_default(&self) -> bool {
        !self
    }
}

impl<'a> Single<'a> for u64 {
    fn read(value: Value<'a>, _: &mut Budget) -> Result<Self, Error> {
        let Value::Varint(number) = value else { return Err(Error::Form) };
        Ok(number)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        put_tag(number, 0, out);
        put_varint(*self, out);
    }

    fn is_default(&self) -> bool {
        *self == 0
    }
}

/// USP's 32-bit numbers are all `fixed32`.
impl<'a> Single<'a> for u32 {
    fn read(value: Value<'a>, _: &mut Budget) -> Result<Self, Error> {
        let Value::Fixed32(number) = value else { return Err(Error::Form) };
        Ok(number)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        put_tag(number, 5, out);
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn is_default(&self) -> bool {
        *self == 0
    }
}

/// Some fields that share a place: one alone may stand.
pub(crate) trait OneOf<'a>: Sized {
    /// What `number` stands for; `None`: it is none of these.
    fn read(number: u64, value: Value<'a>, budget: &mut Budget) -> Result<Option<Self>, Error>;
    /// Writes it.
    fn write(&self, out: &mut Vec<u8>);
}

/// Makes a message of a table: `field: type = number`; at the end, perhaps, `=> field: type` of a one-of.
macro_rules! message {
    ($(#[$meta:meta])* $see:vis struct $name:ident $(<$life:lifetime>)? {
        $($(#[$about:meta])* $field:ident : $kind:ty = $number:literal,)*
        $(=> $place:ident : $of:ty,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        $see struct $name $(<$life>)? {
            $($(#[$about])* $see $field: $kind,)*
            $(/// One of several.
            $see $place: Option<$of>,)?
        }

        impl<'a> $crate::proto::Single<'a> for $name $(<$life>)? {
            fn read(
                value: $crate::proto::Value<'a>,
                budget: &mut $crate::proto::Budget,
            ) -> Result<Self, $crate::proto::Error> {
                let $crate::proto::Value::Bytes(bytes) = value else { return Err($crate::proto::Error::Form) };
                let mut reader = $crate::proto::Reader(bytes);
                #[allow(unused_mut, reason = "some messages are empty")]
                let mut message = Self::default();
                #[allow(unused_variables, reason = "some messages are empty")]
                while let Some((number, value)) = reader.next(budget)? {
                    match number {
                        $($number => $crate::proto::Field::take(&mut message.$field, value, budget)?,)*
                        _ => {
                            $(if let Some(one) = <$of as $crate::proto::OneOf>::read(number, value, budget)? {
                                if message.$place.replace(one).is_some() {
                                    return Err($crate::proto::Error::Twice);
                                }
                            })?
                        }
                    }
                }
                Ok(message)
            }

            fn write(&self, number: u32, out: &mut Vec<u8>) {
                $crate::proto::put_nested(number, out, |out| self.write_fields(out));
            }

            fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }

        impl $(<$life>)? $name $(<$life>)? {
            #[allow(unused_variables, clippy::ptr_arg, reason = "some messages are empty")]
            pub(crate) fn write_fields(&self, out: &mut Vec<u8>) {
                $($crate::proto::Field::put(&self.$field, $number, out);)*
                $(if let Some(one) = &self.$place {
                    <$of as $crate::proto::OneOf>::write(one, out);
                })?
            }
        }
    };
}

/// Makes a one-of of a table: `Variant(type) = number`.
macro_rules! one_of {
    ($(#[$meta:meta])* pub enum $name:ident $(<$life:lifetime>)? {
        $($(#[$about:meta])* $variant:ident ($kind:ty) = $number:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name $(<$life>)? {
            $($(#[$about])* $variant($kind),)*
        }

        impl<'a> $crate::proto::OneOf<'a> for $name $(<$life>)? {
            fn read(
                number: u64,
                value: $crate::proto::Value<'a>,
                budget: &mut $crate::proto::Budget,
            ) -> Result<Option<Self>, $crate::proto::Error> {
                Ok(match number {
                    $($number => Some(Self::$variant(<$kind as $crate::proto::Single>::read(value, budget)?)),)*
                    _ => None,
                })
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(one) => $crate::proto::Single::write(one, $number, out),)*
                }
            }
        }
    };
}

/// Makes a choice of a table: `Variant = number`; the first is meant where nothing is said.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_about:meta])* $first:ident = 0,
        $($(#[$about:meta])* $variant:ident = $number:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name {
            $(#[$first_about])* #[default] $first = 0,
            $($(#[$about])* $variant = $number,)*
        }

        impl $name {
            /// Its number in the schema.
            #[must_use]
            pub fn number(self) -> u32 {
                match self {
                    Self::$first => 0,
                    $(Self::$variant => $number,)*
                }
            }
        }

        impl<'a> $crate::proto::Single<'a> for $name {
            fn read(
                value: $crate::proto::Value<'a>,
                _: &mut $crate::proto::Budget,
            ) -> Result<Self, $crate::proto::Error> {
                let $crate::proto::Value::Varint(number) = value else { return Err($crate::proto::Error::Form) };
                match number {
                    0 => Ok(Self::$first),
                    $($number => Ok(Self::$variant),)*
                    other => Err($crate::proto::Error::Choice(stringify!($name), other)),
                }
            }

            fn write(&self, number: u32, out: &mut Vec<u8>) {
                $crate::proto::Single::write(&u64::from((*self).number()), number, out);
            }

            fn is_default(&self) -> bool {
                *self == Self::$first
            }
        }
    };
}

pub(crate) use {choice, message, one_of};
