//! The meta that a caller passes to a writer.

/// A meta of type `M`: the value itself, or a reference to it. Everything that encodes a frame takes one.
///
/// The type of a framing's meta is [`Wire::Meta`](super::Wire::Meta): [`Kind`](crate::Kind) for
/// [`V1`](crate::V1), and `()` for a prefix, a mark, and everything else that has no field but a length.
///
/// ```
/// use unstick::{Framing, Kind, U32Be, V1};
///
/// let mut out = Vec::new();
/// Framing::new(V1).encode(Kind::TEXT, "hello", &mut out)?;
/// Framing::new(V1).encode(&Kind::TEXT, "hello", &mut out)?;
/// Framing::new(U32Be).encode((), "hello", &mut out)?;
/// # Ok::<(), unstick::EncodeError>(())
/// ```
///
/// A meta of another type does not compile, and the message says which one the framing has:
///
/// ```compile_fail,E0277
/// use unstick::{Framing, Kind, U32Be};
///
/// // error: `Kind` is not what a frame of this format carries beside its payload
/// Framing::new(U32Be).encode(Kind::TEXT, "hello", &mut Vec::new());
/// ```
///
/// Implement it for a type of your own that stands for a meta.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a frame of this format carries beside its payload",
    label = "the meta of this format is `{M}`",
    note = "pass a `{M}` or a reference to one; the meta of a prefix such as `U32Be`, and of a mark such as `Lines`, is `()`",
    note = "frames that carry a `Kind` have the format `V1` or `V2`"
)]
pub trait AsMeta<M> {
    /// Returns the meta.
    fn as_meta(&self) -> &M;
}

impl<M> AsMeta<M> for M {
    #[inline(always)]
    fn as_meta(&self) -> &M {
        self
    }
}

impl<M> AsMeta<M> for &M {
    #[inline(always)]
    fn as_meta(&self) -> &M {
        self
    }
}

impl<M> AsMeta<M> for &mut M {
    #[inline(always)]
    fn as_meta(&self) -> &M {
        self
    }
}
