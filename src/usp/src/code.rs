//! Error codes, and what they are called.
//!
//! Source: TR-369 §7.8 (7000 to 7031), §4.3 (7100 to 7106); TR-181 2.19.1, `Device.SoftwareModules.DUStateChange!` (7032 to 7037, 72xx).

use std::fmt;

/// An error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u32);

/// Makes the constants and the words of one table.
macro_rules! codes {
    ($($number:literal $name:ident $words:literal,)*) => {
        impl Code {
            $(#[doc = $words] pub const $name: Self = Self($number);)*
        }

        /// What `number` is called; `None`: it is no code of USP's that has a name.
        fn name(number: u32) -> Option<&'static str> {
            match number {
                $($number => Some($words),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const NAMED: &[u32] = &[$($number),*];
    };
}

codes! {
    7000 MESSAGE_FAILED "message failed",
    7001 MESSAGE_NOT_SUPPORTED "message not supported",
    7002 REQUEST_DENIED "request denied",
    7003 INTERNAL "internal error",
    7004 INVALID_ARGUMENTS "invalid arguments",
    7005 RESOURCES_EXCEEDED "resources exceeded",
    7006 PERMISSION_DENIED "permission denied",
    7007 INVALID_CONFIGURATION "invalid configuration",
    7008 INVALID_PATH_SYNTAX "invalid path syntax",
    7009 PARAMETER_ACTION_FAILED "parameter action failed",
    7010 UNSUPPORTED_PARAMETER "unsupported parameter",
    7011 INVALID_TYPE "invalid type",
    7012 INVALID_VALUE "invalid value",
    7013 NOT_WRITEABLE "attempt to update a parameter that is not writeable",
    7014 VALUE_CONFLICT "value conflict",
    7015 OPERATION_ERROR "operation error",
    7016 OBJECT_DOES_NOT_EXIST "object does not exist",
    7017 NOT_CREATED "object could not be created",
    7018 NOT_A_TABLE "object is not a table",
    7019 NOT_CREATABLE "attempt to create an object that cannot be created",
    7020 NOT_UPDATED "object could not be updated",
    7021 REQUIRED_PARAMETER_FAILED "required parameter failed",
    7022 COMMAND_FAILURE "command failure",
    7023 COMMAND_CANCELED "command canceled",
    7024 DELETE_FAILURE "delete failure",
    7025 DUPLICATE_KEY "object exists with duplicate key",
    7026 INVALID_PATH "invalid path",
    7027 INVALID_COMMAND_ARGUMENTS "invalid command arguments",
    7028 REGISTER_FAILURE "register failure",
    7029 ALREADY_IN_USE "path already in use",
    7030 DEREGISTER_FAILURE "deregister failure",
    7031 REGISTERED_BY_ANOTHER "path registered by another agent",
    7032 UNAVAILABLE_ROLE "unavailable role",
    7033 SERVER_UNREACHABLE "server unreachable",
    7034 SERVER_INSECURE "server insecure",
    7035 CORRUPT_DATA "corrupt data",
    7036 BAD_SIGNATURE "bad signature",
    7037 UNAVAILABLE_USER_ROLE "unavailable user role",
    7100 RECORD_NOT_PARSED "record could not be parsed",
    7101 SECURE_SESSION_REQUIRED "secure session required",
    7102 SECURE_SESSION_NOT_SUPPORTED "secure session not supported",
    7103 SEGMENTATION_NOT_SUPPORTED "segmentation and reassembly not supported",
    7104 INVALID_RECORD_VALUE "invalid record value",
    7105 SESSION_TERMINATED "session context terminated",
    7106 SESSION_NOT_ALLOWED "session context not allowed",
    7223 UNKNOWN_EXEC_ENV "unknown execution environment",
    7225 EXEC_ENV_MISMATCH "deployment unit does not fit the execution environment",
    7226 DUPLICATE_UNIT "duplicate deployment unit",
    7227 SYSTEM_RESOURCES_EXCEEDED "system resources exceeded",
    7229 INVALID_UNIT_STATE "invalid deployment unit state",
    7230 INVALID_EXEC_ENV_STATE "invalid execution environment state",
}

impl Code {
    /// What a peer has sent; `None`: no code of USP's.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        matches!(number, 7000..=7037 | 7100..=7106 | 7200..=7299 | 7800..=7999).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// What it is called.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self.0 {
            7800..=7999 => "a vendor's own error",
            number => name(number).unwrap_or("an error of the data model"),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.words(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, NAMED};

    #[test]
    fn every_code_has_words_and_no_other_number_is_one() {
        for number in (7000..=7037).chain(7100..=7106) {
            assert!(NAMED.contains(&number), "{number}");
        }
        for number in NAMED {
            assert!(Code::new(*number).is_some_and(|code| !code.words().is_empty()), "{number}");
        }
        for number in [0, 1, 6999, 7038, 7099, 7107, 7300, 7799, 8000, u32::MAX] {
            assert_eq!(Code::new(number), None, "{number}");
        }
        assert_eq!(Code::PERMISSION_DENIED.to_string(), "permission denied (7006)");
        assert_eq!(Code::new(7299).map(Code::words), Some("an error of the data model"));
        assert_eq!(Code::new(7801).map(Code::words), Some("a vendor's own error"));
    }
}
