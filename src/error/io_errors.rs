//! Errors as `std::io::Error`.

/// Implements `From` of error types for `std::io::Error`. A variant with a cause becomes what its
/// cause becomes (`into`); any other error is the inner error of one of the given kind.
/// `unstick-session` uses it too.
#[doc(hidden)]
#[macro_export]
macro_rules! __io_errors {
    (@ $error:ident into $cause:expr) => { ::core::convert::From::from($cause) };
    (@ $error:ident $kind:ident) => { ::std::io::Error::new(::std::io::ErrorKind::$kind, $error) };
    ($($type:ident { $($pattern:pat => $how:ident $($cause:expr)?),+ })+) => {$(
        /// See "Errors as `io::Error`" in the documentation of `unstick::io`.
        impl ::core::convert::From<$type> for ::std::io::Error {
            fn from(error: $type) -> Self {
                match error { $($pattern => $crate::__io_errors!(@ error $how $($cause)?)),+ }
            }
        }
    )+};
}
