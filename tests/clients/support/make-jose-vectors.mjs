// Makes tests/data/auth/jose.json: a token per algorithm by the npm package jose, with its keys as PEM and JWK.
//   node tests/clients/support/make-jose-vectors.mjs > tests/data/auth/jose.json
import * as jose from "jose";
import { createSecretKey, randomBytes } from "node:crypto";

const claims = { sub: "alice", role: "STUDENT", iss: "https://issuer.example", aud: "convene", iat: 1700000000, exp: 1700003600 };
const keys = {}, tokens = {};

const addPair = async (name, algorithm, options) => {
    const pair = await jose.generateKeyPair(algorithm, { extractable: true, ...options });
    keys[name] = { pem: await jose.exportSPKI(pair.publicKey), jwk: await jose.exportJWK(pair.publicKey),
                   pkcs8: await jose.exportPKCS8(pair.privateKey) };
    return pair.privateKey;
};
const sign = (algorithm, key, kid) =>
    new jose.SignJWT(claims).setProtectedHeader({ alg: algorithm, typ: "JWT", ...(kid && { kid }) }).sign(key);

const secret = Buffer.from(randomBytes(32).toString("hex"));
keys.secret = { text: secret.toString() };
for (const algorithm of ["HS256", "HS384", "HS512"])
    tokens[algorithm] = { key: "secret", token: await sign(algorithm, createSecretKey(secret)) };

const rsa = await addPair("rsa", "PS256", { modulusLength: 2048 });
for (const algorithm of ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]) {
    const key = await jose.importPKCS8(keys.rsa.pkcs8, algorithm);
    tokens[algorithm] = { key: "rsa", token: await sign(algorithm, key) };
}
for (const algorithm of ["ES256", "ES384", "ES512"]) {
    const key = await addPair(algorithm.replace("ES", "ec"), algorithm);
    tokens[algorithm] = { key: algorithm.replace("ES", "ec"), token: await sign(algorithm, key) };
}
console.log(JSON.stringify({ claims, keys, tokens }, null, 1));
