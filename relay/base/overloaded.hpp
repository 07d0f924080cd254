// std::visit with one lambda a type.
#pragma once

namespace tiercast {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace tiercast
