// Lines for people whose columns are counted before they are coloured, so that they can be cut to what a terminal has.
// Knows no terminal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tiercast::cli {

enum class Style : std::uint8_t { plain, good, bad, warn, dim };

struct Piece {
  std::string text;  // printable ASCII: a byte is a column
  Style style = Style::plain;
};
using Line = std::vector<Piece>;

std::size_t columns(const Line& line);

/// Printable ASCII, at most so many columns: what is longer lacks its middle ("edge-very..far-1"); what is not ASCII
/// (and every control character) is '?', one for each character.
std::string shortened(std::string_view text, std::size_t columns);
/// Lines of at most so many columns, broken at spaces where there are any; the same care for what is not ASCII.
std::vector<std::string> wrapped(std::string_view text, std::size_t columns);
std::string left(std::string_view text, std::size_t columns);   // shortened, filled up behind
std::string right(std::string_view text, std::size_t columns);  // shortened, filled up in front

struct Canvas {
  bool colour = false;
  std::size_t columns = 100;
  std::size_t rows = SIZE_MAX;  // what is more is told by the last line
  bool clears = false;          // each line clears the rest of its row (ANSI EL), as repainting in place needs
};
/// All lines, cut to the canvas, each with its newline.
std::string paint(std::span<const Line> lines, const Canvas& canvas);

}  // namespace tiercast::cli
