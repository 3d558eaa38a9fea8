"use strict";
/** Variables that have to be set, and what they look like. */

module.exports = {
  DEPLOY_ENV: /^(staging|production|test)$/,
  PORT: /^\d{1,5}$/,
  API_URL: /^https?:\/\/\S+$/,
};
