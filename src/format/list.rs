//! The list of the shipped formats.

/// Calls a macro with the list of every shipped format, for a table or a test of all formats.
///
/// The first argument is the macro's path. Each format is a row of the list: its type in this crate,
/// its name, and the maximum length of its header in bytes. The name is the one in the
/// specification, the test vectors and the command line. Further arguments are passed on before the
/// list, for a macro that has parameters.
///
/// [`LengthField`](crate::LengthField) is not in the list, because it has no value without a
/// [`Layout`](crate::Layout). A new format is a new row, and not a breaking change: accept any
/// number of rows.
///
/// ```
/// macro_rules! names {
///     ($($format:ident = $name:literal, $max_header_len:literal;)+) => {
///         [$(($name, $max_header_len)),+]
///     };
/// }
///
/// let names = unstick::for_each_format!(names);
/// assert!(names.contains(&("u32be", 4)));
///
/// macro_rules! max_payload_len {
///     ($find:expr, $($format:ident = $name:literal, $max_header_len:literal;)+) => {
///         match $find {
///             $($name => Some(unstick::Format::max_payload_len(&unstick::$format)),)+
///             _ => None,
///         }
///     };
/// }
///
/// assert_eq!(unstick::for_each_format!(max_payload_len, "u16le",), Some(65_535));
/// ```
#[macro_export]
macro_rules! for_each_format {
    ($($callback:ident)::+ $(, $($arguments:tt)*)?) => {
        $($callback)::+! {
            $($($arguments)*)?
            V1 = "v1", 8;
            U8 = "u8", 1;
            U16Be = "u16be", 2;
            U16Le = "u16le", 2;
            U24Be = "u24be", 3;
            U24Le = "u24le", 3;
            U32Be = "u32be", 4;
            U32Le = "u32le", 4;
            U64Be = "u64be", 8;
            U64Le = "u64le", 8;
            I32Be = "i32be", 4;
            I32Le = "i32le", 4;
            Varint = "varint", 10;
        }
    };
}

/// Checks the lengths in the list.
macro_rules! check_lengths {
    ($($format:ident = $name:literal, $max_header_len:literal;)+) => {$(
        const _: () = assert!(
            <<crate::format::$format as crate::format::Format>::HeaderBuf as crate::format::HeaderBuf>::LEN
                == $max_header_len
        );
    )+};
}
for_each_format!(check_lengths);
