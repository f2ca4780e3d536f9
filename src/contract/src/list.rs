//! A list of at most so many, kept on the heap: for what is long, and would fill a stack where it is passed by value.
//!
//! In:  items, one by one or read. Out: a slice of them. One too many is refused, or is an error of whoever reads; an empty list takes no memory.
//!
//! Not here: short lists (`heapless::Vec`).

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a reader believes of a length that is only announced, in items.
const ANNOUNCED_MAX: usize = 32;

/// At most `N` items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const N: usize>(alloc::vec::Vec<T>);

impl<T, const N: usize> List<T, N> {
    /// Puts `item` at the end.
    ///
    /// # Errors
    /// The item, where there are `N` already.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.0.len() >= N {
            return Err(item);
        }
        self.0.push(item);
        Ok(())
    }

    /// Keeps only what `keeps` says so of.
    pub fn retain(&mut self, keeps: impl FnMut(&T) -> bool) {
        self.0.retain(keeps);
    }
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self(alloc::vec::Vec::new())
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// The first `N`.
impl<T, const N: usize> FromIterator<T> for List<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().take(N).collect())
    }
}

impl<T, const N: usize> IntoIterator for List<T, N> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'l, T, const N: usize> IntoIterator for &'l List<T, N> {
    type Item = &'l T;
    type IntoIter = core::slice::Iter<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Serialize, const N: usize> Serialize for List<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for List<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

struct Items<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
    type Value = List<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {N}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let announced = items.size_hint().unwrap_or(0).min(ANNOUNCED_MAX).min(N);
        let mut list = List(alloc::vec::Vec::with_capacity(announced));
        while let Some(item) = items.next_element()? {
            list.push(item).map_err(|_| A::Error::invalid_length(N + 1, &self))?;
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    type Two = List<u16, 2>;

    #[test]
    fn there_are_never_more_than_may_be() {
        let mut list = Two::default();
        assert_eq!([7, 8, 9].map(|item| list.push(item)), [Ok(()), Ok(()), Err(9)]);
        list.retain(|item| *item == 8);
        assert_eq!(*list, [8]);
        assert_eq!(*(1..9).collect::<Two>(), [1, 2]);
    }

    #[test]
    fn one_too_many_is_not_read() {
        let table: [(&[u16], bool); 4] = [(&[], true), (&[1], true), (&[1, 2], true), (&[1, 2, 3], false)];
        for (items, is_read) in table {
            let mut room = [0; 16];
            let bytes = postcard::to_slice(&items, &mut room).unwrap();
            let read: Result<Two, _> = postcard::from_bytes(bytes);
            assert_eq!(read.as_deref().ok(), is_read.then_some(items), "{items:?}");
            if let Ok(list) = read {
                let mut again = [0; 16];
                assert_eq!(postcard::to_slice(&list, &mut again).unwrap(), bytes, "{items:?}");
            }
        }
    }
}
