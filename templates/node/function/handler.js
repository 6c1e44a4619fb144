'use strict';

// A secret NAME is a file: path.join(process.env.FAAS_SECRETS_DIR || '/var/openfaas/secrets', 'NAME')

module.exports = async (event, context) => {
  const result = {
    body: JSON.stringify(event.body),
    'content-type': event.headers['content-type'],
  };

  return context.status(200).succeed(result);
};
