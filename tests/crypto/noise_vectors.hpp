// Published test vectors of the Noise Protocol Framework for the two patterns used here, of the cacophony project
// (github.com/haskell-cryptography/cacophony, vectors/cacophony.txt, public domain), which github.com/mcginty/snow
// carries too. Messages 1 and 2 are the handshake, 3 to 6 transport messages, initiator first. The handshake hashes are
// those of the files since 2018; in copies of June 2017 they are others.
#pragma once

#include <array>

#include "relay/wire/packets.hpp"

namespace tiercast::test {

struct NoiseMessage {
  const char* payload;
  const char* ciphertext;
};

struct NoiseVector {
  wire::Pattern pattern;
  const char* prologue;
  const char* init_static;  // IK only
  const char* init_ephemeral;
  const char* init_remote_static;
  const char* resp_static;
  const char* resp_ephemeral;
  const char* handshake_hash;
  std::array<NoiseMessage, 6> messages;
};

inline constexpr std::array<NoiseVector, 2> kNoiseVectors{{
    // Noise_NK_25519_ChaChaPoly_BLAKE2b
    {wire::Pattern::nk,
     "4a6f686e2047616c74",
     "",
     "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
     "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
     "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
     "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
     "f87aa4eb6416e5b0d2b6e6f0b7bc41f3c5986a5d32d55c08d67cbd412f3ec2fa"
     "04d8e358ab95b3bbfab054a140a98eccf4284bb6309b600981d451ecac484932",
     {{
         {"4c756477696720766f6e204d69736573",
          "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944f3041e39b0c8ba56008f2d1183fea6ac"
          "83564ead0267b0842ec4c521ed1e1407"},
         {"4d757272617920526f746862617264",
          "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088432281dcc1835131f305dca14525e15e27"
          "d1f32294aa835e40fc18be480c1db9"},
         {"462e20412e20486179656b", "357e24e9f28ba22080666f7efacc01b2a0a4e358e742aeeff2aaf5"},
         {"4361726c204d656e676572", "8b23b34ff3169de06a39551e969ca7876cc5122a4acff74bf2ec29"},
         {"4a65616e2d426170746973746520536179", "5c104779b6f36e59fca73ed94b0ae092eae1d76dd109caf5060aaaedba385d7076"},
         {"457567656e2042f6686d20766f6e2042617765726b",
          "34ae0518d0cd3aa641ed372ea94935ceecd87f8c4b422ce21a33d3f6f5493891e3e915d83f"},
     }}},
    // Noise_IK_25519_ChaChaPoly_BLAKE2b
    {wire::Pattern::ik,
     "4a6f686e2047616c74",
     "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
     "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
     "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
     "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
     "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
     "1c8fa891cb414fedba6daa7c6f4ae0a6d98e5f9768cc9cecd27e805614943ee9"
     "c8a1b27fbfb76dc197255c8aa69f6b4285c423840b8bedf45e652ca64f797d81",
     {{
         {"4c756477696720766f6e204d69736573",
          "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944ba83a447b38c83e327ad936929812f62"
          "4884847b7831e95e197b2f797088efdd2f88f1db7e1fb0e99c64419097af91cee64e470f4b6fcd9298ce0b56fe20f86e"
          "13bf70439c538e3602a7127af71a29cc"},
         {"4d757272617920526f746862617264",
          "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088439f069b267a06b3de3ecb1043bcb098e9"
          "af91d9c64748d998c7b47890871571"},
         {"462e20412e20486179656b", "cd54383060e7a28434cca27fb1cc524cfbabeb18181589df219d07"},
         {"4361726c204d656e676572", "a856d3bf0246bfc476c655009cd1ed677b8dcc5b349ae8ef2a05f2"},
         {"4a65616e2d426170746973746520536179", "49063084b2c51f098337cb8a13739ac848f907e67cfb2cc8a8b60586467aa02fc7"},
         {"457567656e2042f6686d20766f6e2042617765726b",
          "8b9709d23b47e4639df7678d7a21741eba4ef1e9c60383001c7435549c20f9d56f30e935d3"},
     }}},
}};

}  // namespace tiercast::test
