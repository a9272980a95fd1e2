// SPDX-License-Identifier: BSL-1.0
// Owns result<T>, a value or an error code.
#pragma once

#include <ringo/error.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

namespace ringo {

/// What an operation that can fail for outside reasons yields: a T, or a std::error_code.
///
/// `if (r) use(*r); else report(r.error());`. To leave a task early with the error, see or_return.
/// **Thread safety**: that of T.
template <class T = void>
class [[nodiscard("a ringo::result may hold an error: look at it")]] result {
public:
    using value_type = T;

    /// A value.
    result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(value)) {}
    /// An error. @pre e is not zero
    result(std::error_code e) noexcept : error_(e) {}
    /// An error of any enumeration of error codes.
    template <class E>
        requires std::is_error_code_enum_v<E>
    result(E e) noexcept : error_(make_error_code(e)) {}

    /// True when there is a value.
    explicit operator bool() const noexcept { return value_.has_value(); }
    /// True when there is a value.
    bool has_value() const noexcept { return value_.has_value(); }
    /// The value. @pre has_value()
    T& operator*() & noexcept { return *value_; }
    /// @overload
    const T& operator*() const& noexcept { return *value_; }
    /// @overload
    T&& operator*() && noexcept { return std::move(*value_); }
    /// A member of the value. @pre has_value()
    T* operator->() noexcept { return &*value_; }
    /// @overload
    const T* operator->() const noexcept { return &*value_; }
    /// The value. @throws std::system_error with the error when there is none
    T& value() & { return check(), *value_; }
    /// @overload
    const T& value() const& { return check(), *value_; }
    /// @overload
    T&& value() && { return check(), std::move(*value_); }
    /// The error; zero when there is a value.
    std::error_code error() const noexcept { return error_; }
    /// The value, or `other`.
    template <class U>
    T value_or(U&& other) const& {
        return value_ ? *value_ : static_cast<T>(std::forward<U>(other));
    }
    /// @overload
    template <class U>
    T value_or(U&& other) && {
        return value_ ? std::move(*value_) : static_cast<T>(std::forward<U>(other));
    }

    /// f(value), which returns a result; or the error.
    template <class F>
    auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
        if (value_) {
            return std::invoke(std::forward<F>(f), std::move(*value_));
        }
        return error_;
    }
    /// @overload
    template <class F>
    auto and_then(F&& f) const& -> std::invoke_result_t<F, const T&> {
        if (value_) {
            return std::invoke(std::forward<F>(f), *value_);
        }
        return error_;
    }
    /// A result of f(value); or the error.
    template <class F>
    auto transform(F&& f) && -> result<std::invoke_result_t<F, T&&>>;
    /// @overload
    template <class F>
    auto transform(F&& f) const& -> result<std::invoke_result_t<F, const T&>>;
    /// Itself; or f(error), which returns a result<T>.
    template <class F>
    result or_else(F&& f) && {
        return value_ ? std::move(*this) : result(std::invoke(std::forward<F>(f), error_));
    }
    /// @overload
    template <class F>
    result or_else(F&& f) const& {
        return value_ ? *this : result(std::invoke(std::forward<F>(f), error_));
    }

    /// True for equal values, and for equal errors.
    friend bool operator==(const result& a, const result& b)
        requires requires(const T& x) { x == x; }
    {
        return a.value_ == b.value_ && a.error_ == b.error_;
    }

private:
    void check() const {
        if (!value_) {
            throw std::system_error(error_);
        }
    }
    std::optional<T> value_;
    std::error_code error_;
};

/// Success without a value, or an error.
///
/// **Thread safety**: that of a plain value.
template <>
class [[nodiscard("a ringo::result may hold an error: look at it")]] result<void> {
public:
    using value_type = void;

    /// Success.
    result() noexcept {}
    /// An error; success when `e` is zero.
    result(std::error_code e) noexcept : error_(e) {}
    /// An error of any enumeration of error codes.
    template <class E>
        requires std::is_error_code_enum_v<E>
    result(E e) noexcept : error_(make_error_code(e)) {}

    /// True on success.
    explicit operator bool() const noexcept { return !error_; }
    /// True on success.
    bool has_value() const noexcept { return !error_; }
    /// Does nothing; for templates.
    void operator*() const noexcept {}
    /// Does nothing on success. @throws std::system_error with the error when there is one
    void value() const {
        if (error_) {
            throw std::system_error(error_);
        }
    }
    /// The error; zero on success.
    std::error_code error() const noexcept { return error_; }
    /// f(), which returns a result; or the error.
    template <class F>
    auto and_then(F&& f) const -> std::invoke_result_t<F> {
        if (!error_) {
            return std::invoke(std::forward<F>(f));
        }
        return error_;
    }
    /// A result of f(); or the error.
    template <class F>
    auto transform(F&& f) const -> result<std::invoke_result_t<F>>;
    /// Itself; or f(error), which returns a result<>.
    template <class F>
    result or_else(F&& f) const {
        return error_ ? result(std::invoke(std::forward<F>(f), error_)) : *this;
    }
    /// True for two successes, and for equal errors.
    friend bool operator==(const result& a, const result& b) noexcept {
        return a.error_ == b.error_;
    }

private:
    std::error_code error_;
};

template <class T>
template <class F>
auto result<T>::transform(F&& f) && -> result<std::invoke_result_t<F, T&&>> {
    if (!value_) {
        return error_;
    }
    if constexpr (std::is_void_v<std::invoke_result_t<F, T&&>>) {
        std::invoke(std::forward<F>(f), std::move(*value_));
        return {};
    } else {
        return std::invoke(std::forward<F>(f), std::move(*value_));
    }
}
template <class T>
template <class F>
auto result<T>::transform(F&& f) const& -> result<std::invoke_result_t<F, const T&>> {
    if (!value_) {
        return error_;
    }
    if constexpr (std::is_void_v<std::invoke_result_t<F, const T&>>) {
        std::invoke(std::forward<F>(f), *value_);
        return {};
    } else {
        return std::invoke(std::forward<F>(f), *value_);
    }
}
template <class F>
auto result<void>::transform(F&& f) const -> result<std::invoke_result_t<F>> {
    if (error_) {
        return error_;
    }
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
        std::invoke(std::forward<F>(f));
        return {};
    } else {
        return std::invoke(std::forward<F>(f));
    }
}

/// A result<std::size_t> that also tells how many bytes had been moved before an error.
///
/// **Thread safety**: that of a plain value.
class [[nodiscard("an io_result may hold an error: look at it")]] io_result
    : public result<std::size_t> {
public:
    /// All went well: `n` bytes.
    io_result(std::size_t n) noexcept : result<std::size_t>(n), transferred_(n) {}
    /// An error after `done` bytes.
    io_result(std::error_code e, std::size_t done = 0) noexcept
        : result<std::size_t>(e), transferred_(done) {}
    /// Bytes moved, error or not.
    std::size_t transferred() const noexcept { return transferred_; }

private:
    std::size_t transferred_;
};

namespace detail {
template <class T>
concept is_result = std::derived_from<T, result<typename T::value_type>>;
}

}  // namespace ringo
